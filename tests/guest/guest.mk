# SPDX-License-Identifier: MIT
# The tiny guests: every tests/guest/*.c becomes build/guests/NAME.elf, 64-bit code in a 32-bit ELF file,
# for that is what Multiboot 1 loaders take. A guest may have a NAME.S beside its NAME.c.

GUEST   := tests/guest
GUESTS  := $(patsubst $(GUEST)/%.c,$(BUILD)/guests/%.elf,$(wildcard $(GUEST)/*.c))
GCFLAGS := -std=gnu17 -O2 -g -m64 -ffreestanding -fno-common -fno-pic -mcmodel=small -mno-red-zone \
	   -mgeneral-regs-only -fno-omit-frame-pointer -fno-asynchronous-unwind-tables \
	   -fno-strict-aliasing -fno-stack-protector -fcf-protection=none $(WARN) -I. -I$(GUEST)/lib
GLDFLAGS := -nostdlib -static -Wl,--build-id=none -Wl,-z,max-page-size=4096 \
	   -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments -T $(GUEST)/lib/guest.lds
GLIB    := $(sort $(wildcard $(GUEST)/lib/*.c $(GUEST)/lib/*.S) lib/format.c lib/string.c)
gobj     = $(patsubst %,$(BUILD)/guests/obj/%.o,$(1))

$(BUILD)/guests/obj/%.c.o: %.c Makefile $(GUEST)/guest.mk
	@mkdir -p $(@D)
	$(CC) $(GCFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/guests/obj/%.S.o: %.S Makefile $(GUEST)/guest.mk
	@mkdir -p $(@D)
	$(CC) $(filter-out -std=gnu17,$(GCFLAGS)) -MMD -MP -c -o $@ $<

# NAME.elf64 keeps the symbols, for a debugger.
define GUEST_RULE
$(BUILD)/guests/$(1).elf: $$(call gobj,$(GUEST)/$(1).c $$(wildcard $(GUEST)/$(1).S) $$(GLIB)) \
		$(GUEST)/lib/guest.lds
	$$(CC) $$(GLDFLAGS) -o $$@64 $$(filter %.o,$$^)
	objcopy -S -O elf32-i386 $$@64 $$@
endef
$(foreach g,$(GUESTS:$(BUILD)/guests/%.elf=%),$(eval $(call GUEST_RULE,$(g))))

guests: $(GUESTS)

.PHONY: guests
-include $(wildcard $(BUILD)/guests/obj/*/*.d $(BUILD)/guests/obj/*/*/*.d $(BUILD)/guests/obj/*/*/*/*.d)
