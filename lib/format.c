// SPDX-License-Identifier: MIT
// printf-style formatting into a buffer, for the kernel log.
#include "lib/format.h"
#include "lib/string.h"

struct sink {
	char *out;
	size_t size;
	size_t len;
};

struct spec {
	bool left;
	bool zero;
	bool prefix;
	int width;
	int precision; // -1: none
	int longs;
};

static void put(struct sink *s, char c)
{
	if (s->len + 1 < s->size)
		s->out[s->len] = c;
	s->len++;
}

static void pad(struct sink *s, char c, int n)
{
	while (n-- > 0)
		put(s, c);
}

static void put_text(struct sink *s, const struct spec *f, const char *text, size_t len)
{
	int fill = f->width - (int)len;

	if (!f->left)
		pad(s, ' ', fill);
	for (size_t i = 0; i < len; i++)
		put(s, text[i]);
	if (f->left)
		pad(s, ' ', fill);
}

static void put_number(struct sink *s, struct spec *f, u64 v, unsigned base, const char *sign)
{
	char digits[24];
	size_t n = 0, signs = strlen(sign);

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	int fill = f->width - (int)(n + signs);
	if (!f->left && !f->zero)
		pad(s, ' ', fill);
	for (size_t i = 0; i < signs; i++)
		put(s, sign[i]);
	if (!f->left && f->zero)
		pad(s, '0', fill);
	while (n)
		put(s, digits[--n]);
	if (f->left)
		pad(s, ' ', fill);
}

static const char *parse_number(const char *p, int *n, va_list *args)
{
	if (*p == '*') {
		*n = va_arg(*args, int);
		return p + 1;
	}
	for (*n = 0; *p >= '0' && *p <= '9'; p++)
		*n = MIN(*n * 10 + (*p - '0'), 4096);
	return p;
}

static const char *parse_spec(const char *p, struct spec *f, va_list *args)
{
	*f = (struct spec){.precision = -1};
	for (;; p++) {
		if (*p == '-')
			f->left = true;
		else if (*p == '0')
			f->zero = true;
		else if (*p == '#')
			f->prefix = true;
		else
			break;
	}
	p = parse_number(p, &f->width, args);
	if (*p == '.')
		p = parse_number(p + 1, &f->precision, args);
	for (; *p == 'l' || *p == 'z'; p++)
		f->longs++;
	return p;
}

static u64 unsigned_arg(const struct spec *f, va_list *args)
{
	return f->longs ? va_arg(*args, u64) : va_arg(*args, unsigned);
}

static void put_signed(struct sink *s, struct spec *f, va_list *args)
{
	s64 v = f->longs ? va_arg(*args, s64) : va_arg(*args, int);

	put_number(s, f, v < 0 ? 0 - (u64)v : (u64)v, 10, v < 0 ? "-" : "");
}

static void put_string(struct sink *s, struct spec *f, va_list *args)
{
	const char *text = va_arg(*args, const char *);

	if (!text)
		text = "(null)";
	put_text(s, f, text, strnlen(text, f->precision < 0 ? SIZE_MAX : (size_t)f->precision));
}

size_t format_v(char *out, size_t size, const char *fmt, va_list args)
{
	struct sink s = {.out = out, .size = size};
	struct spec f;
	va_list ap;

	va_copy(ap, args);
	for (const char *p = fmt; *p; p++) {
		if (*p != '%') {
			put(&s, *p);
			continue;
		}
		const char *start = p;
		p = parse_spec(p + 1, &f, &ap);
		char c;
		switch (*p) {
		case 'c':
			c = (char)va_arg(ap, int);
			put_text(&s, &f, &c, 1);
			break;
		case 's':
			put_string(&s, &f, &ap);
			break;
		case 'd':
		case 'i':
			put_signed(&s, &f, &ap);
			break;
		case 'u':
			put_number(&s, &f, unsigned_arg(&f, &ap), 10, "");
			break;
		case 'x':
			put_number(&s, &f, unsigned_arg(&f, &ap), 16, f.prefix ? "0x" : "");
			break;
		case 'p':
			put_number(&s, &f, (u64)(uintptr_t)va_arg(ap, void *), 16, "0x");
			break;
		case '%':
			put(&s, '%');
			break;
		default: // print what is not understood, and stop at the end of the text
			put_text(&s, &(struct spec){0}, start, (size_t)(p - start) + (*p != 0));
			if (!*p)
				p--;
		}
	}
	va_end(ap);
	if (size)
		out[MIN(s.len, size - 1)] = 0;
	return s.len;
}

size_t format(char *out, size_t size, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	size_t n = format_v(out, size, fmt, args);
	va_end(args);
	return n;
}
