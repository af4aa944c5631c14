# SPDX-License-Identifier: MIT
"""The measuring rig: one Linux guest, run natively and under each hypervisor on one emulated machine."""
