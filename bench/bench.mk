# SPDX-License-Identifier: MIT
# Benchmarks; bench/README.md says what they measure.
#	make bench                                      the goals' table, all peers, about 20 minutes
#	make bench BENCH_PEERS=native,mezzanine-micro   fewer peers; BENCH_REPS=3: so many runs by the wall clock
#	make bench-exits                                exits by cause until the guest's userland
#	make bench-rows ROWS='exit_.*'                  single rows, by icount

BENCH_PEERS ?= native,xen,kvm,mezzanine-micro,mezzanine-mono
BENCH_REPS  ?= 1
ROWS        ?= exit_
BENCH       := BUILD=$(abspath $(BUILD)) bench/bench

bench: all
	$(Q)$(BENCH) goals --peers $(BENCH_PEERS) --reps $(BENCH_REPS)

bench-exits: all
	$(Q)$(BENCH) exits

bench-rows: all
	$(Q)$(BENCH) rows '$(ROWS)'

.PHONY: bench bench-exits bench-rows
