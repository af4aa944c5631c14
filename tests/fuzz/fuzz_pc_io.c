// SPDX-License-Identifier: MIT
// The whole virtual PC: ports and device memory of every width at any address, time, input, the console, reset.
// link: kernel/vm/pc.c kernel/vm/pc_io.c kernel/vm/irq.c kernel/vm/vioapic.c kernel/vm/vpic.c kernel/vm/vpit.c
// link: kernel/vm/vrtc.c kernel/vm/vrtc_time.c kernel/vm/vuart.c kernel/vm/vpm.c kernel/vm/vpci.c
// link: kernel/core/timer.c tests/unit/fake/arch.c devices/pci_config.c
// cc: -fno-sanitize-coverage=trace-cmp
// fuzz: -max_len=512
#include "devices/pci_config.h"
#include "tests/fuzz/input.h"
#include "tests/unit/pc_whole_fake.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static struct pci_config function;

static u32 function_config_read(void *dev, unsigned offset, unsigned size)
{
	MUST(offset + size <= PCI_CONFIG_SIZE && offset % size == 0);
	return pci_config_get(dev, offset, size);
}

static void function_config_write(void *dev, unsigned offset, unsigned size, u32 value)
{
	MUST(offset + size <= PCI_CONFIG_SIZE && offset % size == 0);
	pci_config_write(dev, offset, size, value);
}

static struct pci_bar function_bar(void *dev, unsigned bar)
{
	return pci_config_bar_get(dev, bar);
}

static u64 function_bar_read(void *dev, unsigned bar, u64 offset, unsigned size)
{
	struct pci_bar b = function_bar(dev, bar);

	MUST(b.size && offset + size <= b.size && size <= 8);
	return offset;
}

static void function_bar_write(void *dev, unsigned bar, u64 offset, unsigned size, u64 value)
{
	(void)value;
	function_bar_read(dev, bar, offset, size);
}

static void function_reset(void *dev)
{
	pci_config_reset(dev);
}

static const struct pci_function_ops function_ops = {function_config_read, function_config_write,
	function_bar, function_bar_read, function_bar_write, function_reset};

// Ports that are there are worth more than others.
static u16 port(u8 choice, u16 any)
{
	static const u16 ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x40, 0x42, 0x43, 0x61, 0x64,
		0x70, 0x71, 0x92, 0xf4, 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x2f8, 0x600, 0x602,
		0x604, 0x608, 0xcf8, 0xcf9, 0xcfc, 0xcfe, 0xc000};

	return choice < ARRAY_SIZE(ports) ? ports[choice] : any;
}

static u64 place(u8 choice, u32 offset)
{
	static const u64 places[] = {GPA_IOAPIC, GPA_IOAPIC + 0x10, GPA_ECAM, GPA_ECAM + (3 << 15),
		GPA_PCI_WINDOW, GPA_PCI_END - 8, 0, ~0ull - 7};

	return places[choice % ARRAY_SIZE(places)] + (choice & 0x80 ? offset : offset & 0x3f);
}

static void step(struct input *in)
{
	u8 op = input_u8(in), choice = input_u8(in), bytes[32] = {0};
	unsigned size = 1u << (op >> 4 & 3);
	u64 value;

	switch (op & 15) {
	case 0:
	case 1:
	case 2:
		size = MIN(size, 4u);
		pc_io_write(&vcpu0, port(choice, input_u16(in)), size, input_u32(in));
		break;
	case 3:
	case 4:
		size = MIN(size, 4u);
		value = pc_io_read(&vcpu0, port(choice, input_u16(in)), size);
		MUST(size == 4 || value < 1ull << size * 8);
		break;
	case 5:
	case 6:
		pc_mmio_write(&vcpu0, place(choice, input_u32(in)), size, input_u64(in));
		break;
	case 7:
		pc_mmio_read(&vcpu0, place(choice, input_u32(in)), size, &value);
		MUST(size == 8 || value < 1ull << size * 8);
		break;
	case 8:
		run_to(fake_now + choice * 20000ull);
		break;
	case 9:
		MUST(vuart_input(&vm, bytes, choice % 32) <= choice % 32u);
		break;
	case 10:
		console_used = 0;
		console_size = choice % 64;
		vuart_drain(&vm);
		break;
	case 11: {
		int vector = pc_extint_ack(&vm);

		MUST(vector >= -1 && vector < 256);
		break;
	}
	case 12:
		vpci_intx_set(&vm.pc.pci, choice % 31 + 1u, op & 16);
		break;
	case 13:
		vpm_power_button(&vm);
		break;
	case 14:
		wall_base = input_u64(in) >> 2;
		break;
	default:
		pc_reset(&vm);
	}
	MUST(vm.lock.next == vm.lock.owner);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const struct pci_identity id = {.vendor = 0x1af4, .device = 0x1043};
	struct input in = {data, size};

	pc_whole_reset();
	config.debug_exit = true;
	pci_config_init(&function, &id, true);
	pci_config_bar(&function, 0, 0x4000, PCI_BAR_64);
	pci_config_bar(&function, 2, 0x40, PCI_BAR_IO);
	MUST(vpci_add(&vm.pc.pci, 3, &function_ops, &function) == 0);
	pc_reset(&vm);
	while (in.left)
		step(&in);
	pc_destroy(&vm);
	MUST(list_empty(&fake_cpu->timers));
	return 0;
}
