# SPDX-License-Identifier: MIT
# One door for developers: make, check, unit, test, run, gdb, bench, fuzz, format.
# Every .c and .S file in a folder belongs to what the folder builds; there are no lists to keep.

CC      ?= gcc
ifeq ($(origin CC),default)
CC      := gcc
endif
BUILD   ?= build
HOSTCC  ?= $(CC)
MODELS  := micro mono

KERNELS := $(MODELS:%=$(BUILD)/mezzanine-%.elf)

all: $(KERNELS) $(BUILD)/mezz

WARN    := -Wall -Wextra -Wshadow -Werror -Wstrict-prototypes -Wmissing-prototypes -Wvla
KWARN   := $(WARN) -Wconversion
INC     := -I. -Ikernel/x86 -I$(BUILD)/gen

# ---------------------------------------------------------------- the kernel
KCFLAGS := -std=gnu17 -O2 -g -ffreestanding -fno-common -fno-pic -mcmodel=kernel -mno-red-zone \
	   -mgeneral-regs-only -fno-omit-frame-pointer -fstack-protector-strong \
	   -mstack-protector-guard=global -fno-asynchronous-unwind-tables -fno-strict-aliasing \
	   -ffunction-sections -fdata-sections -fno-jump-tables -fcf-protection=none \
	   $(KWARN) $(INC)
KLDFLAGS := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack -Wl,--gc-sections \
	   -Wl,-z,max-page-size=4096 -Wl,--no-warn-rwx-segments

KDIRS   := lib kernel/core kernel/x86 kernel/x86/svm kernel/vm devices devices/host_kernel
KSRC    := $(sort $(wildcard $(KDIRS:%=%/*.c) $(KDIRS:%=%/*.S)))
ksrc     = $(KSRC) $(sort $(wildcard kernel/$(1)/*.c))
kobj     = $(patsubst %,$(BUILD)/kernel/%.o,$(call ksrc,$(1)))

$(BUILD)/kernel/%.c.o: %.c Makefile | $(BUILD)/gen/stamp
	@mkdir -p $(@D)
	$(CC) $(KCFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/kernel/%.S.o: %.S Makefile | $(BUILD)/gen/stamp
	@mkdir -p $(@D)
	$(CC) $(filter-out -std=gnu17 -fstack-protector-strong,$(KCFLAGS)) -D__ASSEMBLY__ -MMD -MP -c -o $@ $<

# Generated headers: the guest's DSDT from its ASL source.
$(BUILD)/gen/stamp: $(wildcard kernel/vm/*.asl) tools/asl2h
	@mkdir -p $(BUILD)/gen
	@for f in $(wildcard kernel/vm/*.asl); do tools/asl2h $$f $(BUILD)/gen/$$(basename $$f .asl)_aml.h || exit 1; done
	@touch $@

# Linked twice: the second time with the table of symbols (weak in the code) that a backtrace prints.
define KERNEL_RULE
$(BUILD)/mezzanine-$(1).elf: $$(call kobj,$(1)) kernel/x86/kernel.lds tools/symtab
	$$(CC) $$(KLDFLAGS) -T kernel/x86/kernel.lds -o $$@.bare $$(call kobj,$(1))
	tools/symtab $$@.bare > $$@.sym.S
	$$(CC) -c -o $$@.sym.o $$@.sym.S
	$$(CC) $$(KLDFLAGS) -T kernel/x86/kernel.lds -o $$@ $$(call kobj,$(1)) $$@.sym.o
	@rm -f $$@.bare $$@.sym.S $$@.sym.o
endef
$(foreach m,$(MODELS),$(eval $(call KERNEL_RULE,$(m))))

# ---------------------------------------------------------------- the command line
HCFLAGS := -std=gnu17 -O2 -g $(WARN) -I. -D_GNU_SOURCE
MEZZSRC := $(sort $(wildcard mezz/*.c))

$(BUILD)/host/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(HOSTCC) $(HCFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/mezz: $(MEZZSRC:%.c=$(BUILD)/host/%.o)
	@mkdir -p $(@D)
	$(HOSTCC) -o $@ $^ -lyaml

# ---------------------------------------------------------------- unit tests
# tests/unit/test_x.c names in its `// link:` lines what it is linked with.
UCFLAGS := -std=gnu17 -O1 -g $(WARN) -D_GNU_SOURCE -fno-sanitize-recover=all \
	   -fsanitize=address,undefined -fno-omit-frame-pointer -I. -Itests/unit/fake -I$(BUILD)/gen
UNITS   := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))
ANY_C   := %.c
linked   = $(shell sed -n 's,^// link: ,,p' $(1))

.SECONDEXPANSION:
$(BUILD)/unit/%: tests/unit/%.c $$(filter $$(ANY_C),$$(call linked,tests/unit/$$*.c)) $(wildcard lib/*.h mezz/*.h kernel/*/*.h devices/*.h abi/*.h tests/unit/*.h tests/unit/fake/*.h) Makefile | $(BUILD)/gen/stamp
	@mkdir -p $(@D)
	$(HOSTCC) $(UCFLAGS) -o $@ $< $(call linked,$<)

unit: $(UNITS)
	@tools/run-units $(UNITS)

include tests/guest/guest.mk
include tests/fuzz/fuzz.mk
include bench/bench.mk

clean:
	rm -rf build

.PHONY: all unit clean
-include $(wildcard $(BUILD)/kernel/*/*.d $(BUILD)/kernel/*/*/*.d $(BUILD)/kernel/*/*/*/*.d $(BUILD)/host/*/*.d)
