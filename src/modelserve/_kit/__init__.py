"""Small helpers that know no word of this domain: files, locks, ports, processes, waiting."""
