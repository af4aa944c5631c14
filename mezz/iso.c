// SPDX-License-Identifier: MIT
// The bootable image: GRUB for BIOS and UEFI, the kernel and a bundle, on one hybrid ISO 9660 image.
#include "mezz/iso.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/bundle.h"
#include "mezz/child.h"
#include "common/save.h"
#include "common/util.h"

// GRUB's script quotes as a shell does; nothing is expanded between single quotes.
static char *grub_quote(const char *text)
{
	struct words words = {0};
	char *quoted;

	words_split(&words, text);
	quoted = words_quote(&words);
	words_free(&words);
	return quoted;
}

struct menu {
	const char *args;
};

// Straight to the kernel, without a menu. Only UEFI needs GRUB's video drivers: a BIOS machine stays in text
// mode, where the kernel can write. `multiboot2` chooses a mode itself, so that is said behind it.
static bool write_menu(int fd, const void *arg)
{
	const struct menu *menu = arg;
	char *args = grub_quote(menu->args);
	char *text = print_text("if [ \"$grub_platform\" = efi ]; then insmod all_video; fi\n"
				"multiboot2 /boot/mezzanine.elf %s\n"
				"module2 /boot/bundle\n"
				"if [ \"$grub_platform\" = pc ]; then set gfxpayload=text; fi\n"
				"boot\n",
		args);
	bool ok = write_all(fd, text, strlen(text)) == 0;

	if (!ok)
		complain("grub.cfg: %s", strerror(errno));
	free(args);
	free(text);
	return ok;
}

static bool make_folder(const char *base, const char *name)
{
	char *path = print_text("%s/%s", base, name);
	bool ok = mkdir(path, 0700) == 0;

	if (!ok)
		complain("%s: %s", path, strerror(errno));
	free(path);
	return ok;
}

// What the image holds, in folder/tree.
static bool fill_tree(
	const struct config *config, const char *kernel, const char *args, const char *folder)
{
	char *elf = print_text("%s/tree/boot/mezzanine.elf", folder);
	char *bundle = print_text("%s/tree/boot/bundle", folder);
	char *menu = print_text("%s/tree/boot/grub/grub.cfg", folder);
	bool ok = make_folder(folder, "tree") && make_folder(folder, "tree/boot") &&
		  make_folder(folder, "tree/boot/grub") && save_copy(kernel, elf) &&
		  bundle_save(config, bundle) && save_file(menu, write_menu, &(struct menu){args});

	free(elf);
	free(bundle);
	free(menu);
	return ok;
}

bool iso_make(const struct config *config, const char *kernel, const char *args, const char *folder,
	char **image)
{
	static const char *const options[] = {"--locales=", "--fonts=", "--themes=",

		"--install-modules=multiboot2 normal iso9660 all_video test "
		"part_acorn part_amiga part_apple part_bsd part_dfly part_dvh part_gpt part_msdos "
		"part_plan part_sun part_sunpc"};
	struct words argv = {0};
	bool ok;

	if (!fill_tree(config, kernel, args, folder))
		return false;
	*image = print_text("%s/image.iso", folder);
	words_add(&argv, "grub-mkrescue");
	for (unsigned i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		words_add(&argv, options[i]);
	words_add(&argv, "-o");
	words_add(&argv, *image);
	words_print(&argv, "%s/tree", folder);
	ok = child_run(&argv);
	words_free(&argv);
	if (!ok) {
		free(*image);
		*image = NULL;
	}
	return ok;
}
