# SPDX-License-Identifier: MIT
# One door for developers: make, check, unit, test, run, gdb, bench, fuzz, format.
# Every .c and .S file in a folder belongs to what the folder builds; there are no lists to keep.

#   make                        both kernels, mezz and mezzd; CC=clang, DEBUG=1 (in build/debug), V=1 (shows commands)
#   make check                  format, headers alone, both compilers, unit tests: before every commit
#   make test                   everything that is tested; the last line is "N passed, N failed"
#   make run                    two Debian servers, database and web, on the mono kernel; Ctrl-C powers them off
#   make run MODEL=micro        the same on the micro kernel, beside a root VM; CONFIG=FILE, RUNFLAGS="..." for `mezz run`
#   make servers                the disks of the two servers, once
#   make deb                    the Debian package of the micro model (docs/packaging.md)
#   make gdb                    stops at the kernel's entry with symbols; GDBFLAGS, MODEL=micro, CONFIG=FILE
#   make system, make guests-test, make network-test, make api-test, make unit, make fuzz, make bench, make format, make clean

ifeq ($(origin CC),default)
CC      := gcc
endif
BUILD   ?= $(if $(DEBUG),build/debug,build)
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-7s %s\n' $(1) $@)
HOSTCC  ?= $(CC)
MODELS  := micro mono

KERNELS := $(MODELS:%=$(BUILD)/mezzanine-%.elf)

all: $(KERNELS) $(BUILD)/mezz $(BUILD)/mezzd $(BUILD)/mezz-backend

WARN    := -Wall -Wextra -Wshadow -Werror -Wstrict-prototypes -Wmissing-prototypes -Wvla
KWARN   := $(WARN) -Wconversion
INC     := -I. -Ikernel/x86 -I$(BUILD)/gen

# ---------------------------------------------------------------- the kernel
KCFLAGS := -std=gnu17 -g -ffreestanding -fno-common -fno-pic -mcmodel=kernel -mno-red-zone \
	   -mgeneral-regs-only -fno-omit-frame-pointer -fstack-protector-strong \
	   -mstack-protector-guard=global -fno-asynchronous-unwind-tables -fno-strict-aliasing \
	   -ffunction-sections -fdata-sections -fno-jump-tables -fcf-protection=none \
	   -falign-functions=1 -falign-loops=1 \
	   $(if $(findstring clang,$(CC)),-mstack-alignment=8,-falign-jumps=1 -mpreferred-stack-boundary=3 -malign-data=abi) \
	   $(KWARN) $(INC) $(if $(DEBUG),-DDEBUG)
# SMALL: for what is not hot; some passes that gcc's -Oz leaves on cost space here.
SMALL   := -Oz $(if $(findstring clang,$(CC)),,-fno-move-loop-invariants -fno-shrink-wrap -fno-tree-sra \
	   -fno-expensive-optimizations -fno-tree-fre -fno-tree-loop-im -fno-ipa-modref \
	   -fno-tree-tail-merge)
# For speed what runs while guests run; the rest, most of it at start, for size.
HOT     := kernel/x86/svm/svm.c kernel/x86/svm/svm_exit.c \
	   kernel/vm/run% kernel/vm/exits% kernel/vm/skip% kernel/vm/cpuid% kernel/vm/gmap.c \
	   devices/virtio_net% kernel/mono/nic% kernel/mono/uplink.c net/% drivers/net.c \
	   drivers/e1000e/e1000e.c drivers/virtio/virtio_nic.c drivers/virtio/vring.c \
	   devices/virtio_blk% devices/virtio_pace.c kernel/mono/disk.c kernel/mono/disk_% drivers/block.c drivers/block_hot.c drivers/block_piece.c \
	   drivers/nvme/nvme_io.c drivers/nvme/nvme_ring.c
optimize = $(if $(DEBUG),-Og,$(if $(filter $(HOT),$(1)),-O2,$(SMALL)))
KLDFLAGS := -nostdlib -static -Wl,--build-id=none -Wl,-z,noexecstack -Wl,--gc-sections \
	   -Wl,-z,max-page-size=4096 -Wl,--no-warn-rwx-segments

KDIRS   := lib kernel/core kernel/x86 kernel/x86/svm kernel/vm devices devices/host_kernel
# Folders that only one model has.
KDIRS_mono := kernel/mono drivers drivers/nvme drivers/ahci drivers/amd_iommu drivers/virtio drivers/e1000e net storage
KDIRS_micro := kernel/micro drivers/amd_iommu
# Of a folder of the other model, and what that takes.
KSRC_micro := drivers/iommu.c drivers/pci_port.c
KSRC    := $(sort $(wildcard $(KDIRS:%=%/*.c) $(KDIRS:%=%/*.S)))
ksrc     = $(KSRC) $(sort $(wildcard $(KDIRS_$(1):%=%/*.c))) $(KSRC_$(1))
kobj     = $(patsubst %,$(BUILD)/kernel/%.o,$(call ksrc,$(1)))

$(BUILD)/kernel/%.c.o: %.c Makefile | $(BUILD)/gen/stamp
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(KCFLAGS) $(call optimize,$<) -MMD -MP -c -o $@ $<

$(BUILD)/kernel/%.S.o: %.S Makefile | $(BUILD)/gen/stamp
	@mkdir -p $(@D)
	$(call say,AS)
	$(Q)$(CC) $(filter-out -std=gnu17 -fstack-protector-strong,$(KCFLAGS)) -D__ASSEMBLY__ -MMD -MP -c -o $@ $<

# Generated headers: the guest's DSDT from its ASL source.
$(BUILD)/gen/stamp: $(wildcard kernel/vm/*.asl) tools/asl2h
	@mkdir -p $(BUILD)/gen
	@for f in $(wildcard kernel/vm/*.asl); do tools/asl2h $$f $(BUILD)/gen/$$(basename $$f .asl)_aml.h || exit 1; done
	@touch $@

# Linked twice: the second time with the table of symbols (weak in the code) that a backtrace prints.
define KERNEL_RULE
$(BUILD)/mezzanine-$(1).elf: $$(call kobj,$(1)) kernel/x86/kernel.lds tools/symtab
	$$(call say,LD)
	$$(Q)$$(CC) $$(KLDFLAGS) -T kernel/x86/kernel.lds -o $$@.bare $$(call kobj,$(1))
	$$(Q)tools/symtab $$@.bare > $$@.sym.S
	$$(Q)$$(CC) -c -o $$@.sym.o $$@.sym.S
	$$(Q)$$(CC) $$(KLDFLAGS) -T kernel/x86/kernel.lds -o $$@ $$(call kobj,$(1)) $$@.sym.o
	@rm -f $$@.bare $$@.sym.S $$@.sym.o
endef
$(foreach m,$(MODELS),$(eval $(call KERNEL_RULE,$(m))))

# ---------------------------------------------------------------- the command line, and the root VM's daemon
HCFLAGS := -std=gnu17 -O2 -g $(WARN) -I. -D_GNU_SOURCE
SHARED  := $(sort $(wildcard common/*.c)) # by all programs
CONFIGSRC := $(sort $(wildcard config/*.c)) lib/firmware.c # definitions of VMs, and bundles
MEZZSRC := $(sort $(wildcard mezz/*.c)) $(CONFIGSRC) $(SHARED)

$(BUILD)/host/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(HOSTCC) $(HCFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/mezz: $(MEZZSRC:%.c=$(BUILD)/host/%.o)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(HOSTCC) -static -o $@ $^ -lyaml -ljson-c

# Not static: libmicrohttpd needs GnuTLS, which Debian has as shared libraries only.
MEZZDSRC := $(sort $(wildcard mezzd/*.c)) $(CONFIGSRC) $(SHARED) net/config.c
MEZZDLIBS := -lmicrohttpd -ljson-c -lyaml

$(BUILD)/mezzd: $(MEZZDSRC:%.c=$(BUILD)/host/%.o)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(HOSTCC) -Wl,-z,relro,-z,now -o $@ $^ $(MEZZDLIBS)

# ---------------------------------------------------------------- the back-end of a VM
# It reads what guests write, so it is compiled to be hard to misuse; the devices are those of the kernel.
BCFLAGS := $(HCFLAGS) -Wconversion -fPIE -fno-strict-aliasing -fstack-protector-strong -D_FORTIFY_SOURCE=2 \
	   $(if $(findstring clang,$(HOSTCC)),,-fstack-clash-protection -fcf-protection)
BACKEND := $(sort $(wildcard backend/*.c devices/host_linux/*.c devices/virtio_blk*.c devices/virtio_net*.c)) common/tap.c \
	   devices/virtio.c devices/virtio_pace.c devices/virtio_rng.c devices/virtqueue.c devices/fw_cfg_list.c devices/fw_cfg_acpi.c devices/fw_tell.c \
	   kernel/core/disk_line.c storage/gpt.c storage/crc32.c storage/twin.c storage/twin_restore.c lib/firmware.c lib/format.c \
	   $(patsubst %,net/%.c,bucket checksum config frame offload stations switch vlan)

$(BUILD)/backend/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(HOSTCC) $(BCFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/mezz-backend: $(BACKEND:%.c=$(BUILD)/backend/%.o)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(HOSTCC) -static-pie -Wl,-z,relro,-z,now -o $@ $^ -luring -lseccomp

# ---------------------------------------------------------------- unit tests
# tests/unit/test_x.c names in its `// link:` lines what it is linked with.
UCFLAGS := -std=gnu17 -O1 -g $(WARN) -D_GNU_SOURCE -fno-sanitize-recover=all \
	   -fsanitize=address,undefined -fno-omit-frame-pointer -I. -Itests/unit/fake -I$(BUILD)/gen
UNITS   := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))
ANY_C   := %.c
# Who needs the fake architecture takes locks of the kernel.
linked   = $(call and_locks,$(shell sed -n 's,^// link: ,,p' $(1)))
and_locks = $(1) $(if $(filter tests/unit/fake/arch.c,$(1)),kernel/core/spinlock.c)

.SECONDEXPANSION:
$(BUILD)/unit/%: tests/unit/%.c $$(filter $$(ANY_C),$$(call linked,tests/unit/$$*.c)) $(wildcard lib/*.h common/*.h config/*.h mezz/*.h mezzd/*.h kernel/*/*.h devices/*.h devices/*/*.h backend/*.h drivers/*.h storage/*.h net/*.h abi/*.h tests/unit/*.h tests/unit/fake/*.h) Makefile | $(BUILD)/gen/stamp
	@mkdir -p $(@D)
	$(call say,UNIT)
	$(Q)$(HOSTCC) $(UCFLAGS) -o $@ $< $(call linked,$<)

unit: $(UNITS)
	@tools/run-units $(UNITS)

# test_network once more, in a Linux whose bridges know VLANs, where ASan finds no room.
$(BUILD)/uml/%: tests/unit/%.c $(BUILD)/unit/%
	@mkdir -p $(@D)
	$(call say,UML)
	$(Q)$(HOSTCC) $(filter-out -fsanitize%,$(UCFLAGS)) -fsanitize=undefined -o $@ $< $(call linked,$<)

network-test: $(BUILD)/uml/test_network
	@tests/uml/run $(BUILD) $<

# mezzd on a machine that is played, against abi/openapi.yaml.
APISRC  := $(sort $(filter-out $(patsubst %,mezzd/%.c,network bridge tap uplink link netlink),$(wildcard mezzd/*.c))) \
	   $(filter-out common/device.c,$(SHARED)) $(CONFIGSRC) tests/api/fake_machine.c

$(BUILD)/api/mezzd: $(APISRC) $(wildcard abi/*.h common/*.h config/*.h mezzd/*.h lib/*.h) Makefile
	@mkdir -p $(@D)
	$(call say,API)
	$(Q)$(HOSTCC) $(UCFLAGS) -o $@ $(APISRC) $(MEZZDLIBS)

api-test: $(BUILD)/api/mezzd $(BUILD)/mezz
	@tests/api/test_api.py $^

include tests/guest/guest.mk
include tests/fuzz/fuzz.mk
include bench/bench.mk

# ---------------------------------------------------------------- check: before every commit
CSOURCES = $(shell git ls-files '*.c' '*.h')

check-format:
	@clang-format --dry-run -Werror $(CSOURCES)

format:
	clang-format -i $(CSOURCES)

check-headers: $(BUILD)/gen/stamp
	@tools/check-headers $(BUILD) gcc clang

check-gcc check-clang: check-%:
	@$(MAKE) --no-print-directory BUILD=build/check-$* CC=$* HOSTCC=$* all

CHECKS  := check-format check-headers check-gcc check-clang unit api-test

# Each check is done though another failed; the unit tests' last line is the last line.
check:
	@tools/setup
	@tools/run-steps -j2 $(CHECKS)

# ---------------------------------------------------------------- test: everything
DECODE_RUNS ?= 10000000

unit-decode: $(BUILD)/unit/test_decode
	@MEZZ_DECODE_RUNS=$(DECODE_RUNS) $<

guests-test: all guests
	@tests/guest/run.py --build $(BUILD)

mezz-test: $(BUILD)/mezz
	@tests/system/test_mezz_run.py $(BUILD)/mezz

system: all guests images servers deb
	@tools/root-image $(BUILD)
	@tools/debian-host >$(if $(V),/dev/stdout,/dev/null)
	@tests/system/run.py --build $(BUILD) $(SYSTEM_FLAGS)

images:
	@tools/guest-images >$(if $(V),/dev/stdout,/dev/null)

# The initrd of a root VM, with the module and the command.
root:
	@tools/setup
	@$(MAKE) --no-print-directory all images
	@tools/root-image $(BUILD)

# The Debian package that makes an installed Debian the root VM.
deb: all
	@tools/setup
	@tools/deb $(BUILD)

servers:
	@tools/server-images >$(if $(V),/dev/stdout,/dev/null)

test:
	@tools/setup
	@tools/run-steps -j2 $(CHECKS) unit-decode mezz-test network-test guests-test fuzz system

# ---------------------------------------------------------------- to use and to look inside
MODEL   ?= mono
SERVERS := examples/servers.yaml
CONFIG  ?= $(SERVERS)

run:
	@tools/setup
	@$(MAKE) --no-print-directory -j2 $(if $(filter micro$(SERVERS),$(MODEL)$(CONFIG)),root,all) $(if $(filter $(SERVERS),$(CONFIG)),,images)
	@$(if $(filter $(SERVERS),$(CONFIG)),tools/run-servers $(BUILD) $(MODEL) $(RUNFLAGS),\
		$(BUILD)/mezz run --model $(MODEL) --cpus 2 --log $(BUILD)/log $(RUNFLAGS) $(CONFIG))

gdb: CONFIG := $(if $(filter file,$(origin CONFIG)),examples/two-vms.yaml,$(CONFIG))
gdb: all images
	@tools/gdb $(BUILD) $(MODEL) $(CONFIG) $(GDBFLAGS)

# What the servers of `make run` wrote (build/run) is no product of the build.
clean:
	@[ ! -d build ] || find build -mindepth 1 -maxdepth 1 ! -name run -exec rm -rf {} +

.PHONY: api-test deb root all unit clean check check-format check-headers check-gcc check-clang format test unit-decode \
	guests-test mezz-test system images servers run gdb
-include $(wildcard $(BUILD)/kernel/*/*.d $(BUILD)/kernel/*/*/*.d $(BUILD)/kernel/*/*/*/*.d $(BUILD)/host/*/*.d $(BUILD)/backend/*/*.d $(BUILD)/backend/*/*/*.d)
