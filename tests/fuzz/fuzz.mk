# SPDX-License-Identifier: MIT
# make fuzz [FUZZ_SECONDS=30]: each tests/fuzz/fuzz_x.c under libFuzzer, ASan and UBSan for so many seconds.
# Its `// link:` lines name what it is linked with, its `// cc:` line options for the compiler, its `// fuzz:` line such for
# libFuzzer. FUZZ_RUNS=20000000: so many executions instead.
FUZZ_SECONDS ?= 30
FUZZCC  ?= clang
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FCFLAGS := -std=gnu17 -O2 -g $(WARN) -D_GNU_SOURCE -fno-sanitize-recover=all \
	   -fsanitize=fuzzer,address,undefined -fno-omit-frame-pointer -I. -Itests/unit/fake -I$(BUILD)/gen

.SECONDEXPANSION:
$(BUILD)/fuzz/%: tests/fuzz/%.c $$(filter $$(ANY_C),$$(call linked,tests/fuzz/$$*.c)) $(wildcard lib/*.h common/*.h config/*.h mezz/*.h kernel/*/*.h devices/*.h devices/host_test/*.h net/*.h abi/*.h tests/unit/*.h tests/fuzz/*.h) Makefile tests/fuzz/fuzz.mk | $(BUILD)/gen/stamp
	@mkdir -p $(@D)
	$(FUZZCC) $(FCFLAGS) $(shell sed -n 's,^// cc: ,,p' $<) -o $@ $< $(call linked,$<)

fuzz: $(FUZZERS)
	@tools/run-fuzzers $(FUZZ_SECONDS) $(FUZZERS)

.PHONY: fuzz
