"""What transformers answers is right: the same folder, image or text must give the same here.

These tests need PyTorch and transformers, and fail without them: ``make test-torch`` runs them in an
environment of its own. They ask nothing of the network; models are small, random and made on the spot.
"""

import os

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}

import transformers

transformers.logging.set_verbosity_error()
