"""The theory runs where torch is missing."""

import subprocess
import sys


def test_importing_the_theory_and_the_ledger_does_not_import_torch():
    program = (
        "import sys, jepabook, jepabook.claims, jepabook.learning_order, jepabook.recorded\n"
        "import jepabook.momentum, jepabook.weight_decay, jepabook.violations\n"
        "print(sorted({'torch', 'torchdiffeq', 'matplotlib'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert told.stdout.strip() == "[]", told.stdout + told.stderr
