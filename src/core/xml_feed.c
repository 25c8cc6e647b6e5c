#include "xml_feed.h"

#include <expat.h>
#include <string.h>

enum { CHUNK = 64 * 1024 };

static const char *local_name(const char *name)
{
    const char *colon = strrchr(name, ':');
    return colon ? colon + 1 : name;
}

struct str xml_attribute(const char **attributes, const char *name)
{
    for (; *attributes; attributes += 2)
        if (strcmp(local_name(attributes[0]), name) == 0)
            return str_c(attributes[1]);
    return STR_NONE;
}

void xml_feed_fail(struct xml_feed *f, enum err code, const char *why)
{
    if (f->why.code == OK)
        error_set(&f->why, code, "%s", why);
    XML_StopParser(f->parser, XML_FALSE);
}

void xml_feed_pause(struct xml_feed *f)
{
    f->paused = true;
    XML_StopParser(f->parser, XML_TRUE);
}

static void on_start(void *p, const char *name, const char **attributes)
{
    struct xml_feed *f = p;
    f->stalled = 0;
    if (++f->depth > XML_DEPTH_MAX)
        xml_feed_fail(f, ERR_TOO_LARGE, "tags nested too deep");
    else if (f->handlers->start)
        f->handlers->start(f->ctx, local_name(name), attributes);
}

static void on_end(void *p, const char *name)
{
    struct xml_feed *f = p;
    f->stalled = 0;
    f->depth--;
    if (f->handlers->end)
        f->handlers->end(f->ctx, local_name(name));
}

static void on_text(void *p, const char *text, int n)
{
    struct xml_feed *f = p;
    f->stalled = 0;
    if (f->handlers->text)
        f->handlers->text(f->ctx, text, n);
}

static void on_doctype(void *p, const char *name, const char *system, const char *public,
                       int has_subset)
{
    (void)name;
    (void)system;
    (void)public;
    (void)has_subset;
    xml_feed_fail(p, ERR_INVALID, "a DOCTYPE, which no office file has");
}

static void on_other(void *p, const char *text, int n)
{
    struct xml_feed *f = p;
    (void)text;
    (void)n;
    f->stalled = 0;
}

enum err xml_feed_open(struct xml_feed *f, struct zip_guard *zip, ptrdiff_t index,
                       const struct xml_handlers *handlers, void *ctx, struct error *e)
{
    *f = (struct xml_feed){.handlers = handlers, .ctx = ctx};
    enum err err = zip_member_open(&f->member, zip, index, e);
    if (err)
        return err;
    f->parser = XML_ParserCreate(NULL);
    if (!f->parser) {
        xml_feed_close(f);
        return error_set(e, ERR_INTERNAL, "no XML parser");
    }
    XML_SetUserData(f->parser, f);
    XML_SetElementHandler(f->parser, on_start, on_end);
    XML_SetCharacterDataHandler(f->parser, on_text);
    XML_SetStartDoctypeDeclHandler(f->parser, on_doctype);
    XML_SetDefaultHandler(f->parser, on_other);
    return OK;
}

void xml_feed_close(struct xml_feed *f)
{
    if (f->parser)
        XML_ParserFree(f->parser);
    f->parser = NULL;
    zip_member_close(&f->member);
}

static enum err feed_chunk(struct xml_feed *f, enum XML_Status *status, struct error *e)
{
    void *room = XML_GetBuffer(f->parser, CHUNK);
    if (!room)
        return error_set(e, ERR_TOO_LARGE, "%" STR_F ": out of memory for a tag",
                         STR_A(f->member.name));
    size_t n;
    enum err err = zip_member_read(&f->member, room, CHUNK, &n, e);
    if (err)
        return err;
    /* Expat keeps a tag that is not complete and starts over on it with each chunk. */
    f->stalled += n;
    if (f->stalled > XML_TOKEN_MAX + CHUNK)
        return error_set(e, ERR_TOO_LARGE, "%" STR_F ": a tag of more than %d bytes",
                         STR_A(f->member.name), XML_TOKEN_MAX);
    f->last = n == 0;
    *status = XML_ParseBuffer(f->parser, (int)n, f->last);
    return OK;
}

enum xml_feed_step xml_feed_run(struct xml_feed *f, struct error *e)
{
    enum XML_Status status = XML_STATUS_OK;
    if (f->paused) {
        f->paused = false;
        status = XML_ResumeParser(f->parser);
    }
    while (status == XML_STATUS_OK && !f->last)
        if (feed_chunk(f, &status, e))
            return XML_FEED_BAD;
    if (status == XML_STATUS_SUSPENDED)
        return XML_FEED_PAUSED;
    if (status == XML_STATUS_OK)
        return XML_FEED_DONE;
    error_set(e, f->why.code ? f->why.code : ERR_INVALID, "%" STR_F ", line %lu: %s",
              STR_A(f->member.name), (unsigned long)XML_GetCurrentLineNumber(f->parser),
              f->why.code ? f->why.text : XML_ErrorString(XML_GetErrorCode(f->parser)));
    return XML_FEED_BAD;
}

enum err xml_feed_all(struct xml_feed *f, struct zip_guard *zip, ptrdiff_t index,
                      const struct xml_handlers *handlers, void *ctx, struct error *e)
{
    struct error why = {.code = OK};
    enum err err = xml_feed_open(f, zip, index, handlers, ctx, &why);
    if (!err && xml_feed_run(f, &why) != XML_FEED_DONE)
        err = why.code;
    xml_feed_close(f);
    if (err)
        error_set(e, err, "%s", why.text);
    return err;
}
