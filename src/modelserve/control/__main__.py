import sys

from modelserve.control.main import main

sys.exit(main())
