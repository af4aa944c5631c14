// SPDX-License-Identifier: MIT
// The NoCloud volume: read by its own rules, and by xorriso, which knows nothing of ours.
// link: config/nocloud.c common/util.c
#include "tests/unit/test.h"

#include <unistd.h>

#include "config/nocloud.h"

#define SECTOR 2048u

static unsigned le(const unsigned char *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (unsigned)p[3] << 24;
}

static unsigned be(const unsigned char *p)
{
	return p[3] | p[2] << 8 | p[1] << 16 | (unsigned)p[0] << 24;
}

// The record's number at `at`, which must be the same in both orders.
static unsigned both(const unsigned char *p)
{
	CHECK_EQ(le(p), be(p + 4));
	return le(p);
}

// The file's bytes; NULL: there is none of this name.
static const unsigned char *find(const struct text *image, const char *name, unsigned *size)
{
	const unsigned char *bytes = (const void *)image->data;
	const unsigned char *folder = bytes + both(bytes + 16 * SECTOR + 156 + 2) * SECTOR;

	for (unsigned at = 0; at < SECTOR && folder[at]; at += folder[at]) {
		const unsigned char *r = folder + at;

		CHECK(r[0] % 2 == 0 && at + r[0] <= SECTOR);
		if (r[32] != strlen(name) || memcmp(r + 33, name, r[32]) != 0)
			continue;
		*size = both(r + 10);
		CHECK((size_t)both(r + 2) * SECTOR + *size <= image->length);
		return bytes + (size_t)both(r + 2) * SECTOR;
	}
	return NULL;
}

static void holds(const struct text *image, const char *name, const char *bytes, size_t size)
{
	unsigned n = 0;
	const unsigned char *is = find(image, name, &n);

	CHECK(is);
	CHECK_EQ(n, size);
	CHECK(is && n == size && memcmp(is, bytes, size) == 0);
}

TEST(label_and_files)
{
	static const char user[] = "#cloud-config\n", network[] = "version: 2\n";
	struct text image = {0};

	nocloud_make(&image, "web", (struct nocloud_file){user, sizeof(user) - 1},
		(struct nocloud_file){network, sizeof(network) - 1});
	CHECK_EQ(image.length % SECTOR, 0);
	CHECK(memcmp(image.data + 16 * SECTOR, "\1CD001\1", 7) == 0);
	CHECK(memcmp(image.data + 16 * SECTOR + 40, "cidata   ", 9) == 0);
	CHECK(memcmp(image.data + 17 * SECTOR, "\377CD001\1", 7) == 0);
	CHECK_EQ(both((unsigned char *)image.data + 16 * SECTOR + 80) * SECTOR, image.length);
	holds(&image, "meta-data", "instance-id: web\nlocal-hostname: web\n", 37);
	holds(&image, "user-data", user, sizeof(user) - 1);
	holds(&image, "network-config", network, sizeof(network) - 1);
	text_free(&image);
}

TEST(no_network_config)
{
	struct text image = {0};
	unsigned n;

	nocloud_make(&image, "db", (struct nocloud_file){"", 0}, (struct nocloud_file){NULL, 0});
	CHECK(!find(&image, "network-config", &n));
	holds(&image, "user-data", "", 0);
	holds(&image, "meta-data", "instance-id: db\nlocal-hostname: db\n", 35);
	text_free(&image);
}

// Files around the end of a sector, the one behind them untouched.
TEST(sizes)
{
	static char big[3 * SECTOR + 1];

	memset(big, 'x', sizeof(big));
	for (unsigned size = SECTOR - 1; size <= sizeof(big);
		size += size % SECTOR == 1 ? SECTOR - 2 : 1) {
		struct text image = {0};

		nocloud_make(&image, "vm", (struct nocloud_file){big, size},
			(struct nocloud_file){big, size - 1});
		holds(&image, "user-data", big, size);
		holds(&image, "network-config", big, size - 1);
		text_free(&image);
	}
}

TEST(another_reader)
{
	static const char user[] = "#cloud-config\nhostname: x\n";
	char folder[] = "/tmp/test_nocloud.XXXXXX", command[400];
	struct text image = {0};
	FILE *f;

	nocloud_make(&image, "web", (struct nocloud_file){user, sizeof(user) - 1},
		(struct nocloud_file){"version: 2\n", 11});
	if (!mkdtemp(folder))
		abort();
	snprintf(command, sizeof(command), "%s/image", folder);
	f = fopen(command, "w");
	if (!f || fwrite(image.data, 1, image.length, f) != image.length || fclose(f) != 0)
		abort();
	snprintf(command, sizeof(command),
		"cd %s && xorriso -osirrox on -indev image -extract / out >/dev/null 2>&1 && "
		"grep -qx 'hostname: x' out/user-data && grep -qx 'version: 2' out/network-config && "
		"grep -qx 'instance-id: web' out/meta-data",
		folder);
	CHECK_EQ(system(command), 0);
	snprintf(command, sizeof(command), "chmod -R u+w %s && rm -r %s", folder, folder);
	CHECK_EQ(system(command), 0);
	text_free(&image);
}

TEST_MAIN()
