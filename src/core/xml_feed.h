/*
 * xml_feed.h - an XML member of a ZIP, parsed piece by piece and stopped where the caller likes.
 *
 * Expat under our rules: a DOCTYPE is refused (so there are no entities to expand), nesting is at
 * most XML_DEPTH_MAX, one tag or comment at most XML_TOKEN_MAX bytes. Names come without their
 * namespace prefix: office files use one vocabulary, and writers differ in the prefix only.
 * Handlers get the context that was given; any may be NULL. Private to core.
 *
 *     struct xml_feed f;
 *     if (!xml_feed_open(&f, zip, index, &handlers, ctx, &e))
 *         while ((s = xml_feed_run(&f, &e)) == XML_FEED_PAUSED) ...
 *     xml_feed_close(&f);
 */
#ifndef CORE_XML_FEED_H
#define CORE_XML_FEED_H

#include "zip_guard.h"

enum { XML_DEPTH_MAX = 64, XML_TOKEN_MAX = 1024 * 1024 };

struct xml_handlers {
    void (*start)(void *ctx, const char *name, const char **attributes);
    void (*end)(void *ctx, const char *name);
    void (*text)(void *ctx, const char *p, int n);
};

struct xml_feed {
    const struct xml_handlers *handlers;
    void *ctx;
    struct zip_member member;
    struct XML_ParserStruct *parser;
    struct error why; /* set when a handler or a rule gave up */
    size_t stalled;   /* bytes fed since expat last had something to tell */
    int depth;
    bool paused, last;
};

enum xml_feed_step { XML_FEED_PAUSED, XML_FEED_DONE, XML_FEED_BAD };

enum err xml_feed_open(struct xml_feed *f, struct zip_guard *zip, ptrdiff_t index,
                       const struct xml_handlers *handlers, void *ctx, struct error *e);
/* Go on until a handler pauses, the document ends or cannot be read (*e says why). */
enum xml_feed_step xml_feed_run(struct xml_feed *f, struct error *e);
/* From an end handler: let xml_feed_run() return, the next run goes on behind this tag. */
void xml_feed_pause(struct xml_feed *f);
/* From a handler: give up; xml_feed_run() returns XML_FEED_BAD with this reason. */
void xml_feed_fail(struct xml_feed *f, enum err code, const char *why);
/* Harmless on a feed that did not open. */
void xml_feed_close(struct xml_feed *f);

/* Read a whole member: open, run to the end, close. Handlers do not pause. */
enum err xml_feed_all(struct xml_feed *f, struct zip_guard *zip, ptrdiff_t index,
                      const struct xml_handlers *handlers, void *ctx, struct error *e);

/* Value of an attribute by its name without prefix; STR_NONE when it is missing. */
struct str xml_attribute(const char **attributes, const char *name);

#endif
