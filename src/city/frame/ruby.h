/*
 * ruby.h - readings above kanji in pages of easy Japanese.
 *
 * Catalogue texts write a reading as ｜漢字《かんじ》. In the finished page that becomes a ruby
 * element where markup is possible; in tags, titles, options and drawings only the base text stays.
 * Because it runs after escaping, no text can bring markup of its own.
 */
#ifndef PORTAL_RUBY_H
#define PORTAL_RUBY_H

#include "core/buf.h"

void ruby_page(struct buf *out, struct str html);
/* The base text alone: for scripts and mail. */
struct str ruby_plain(struct arena *a, struct str text);

#endif
