#include "template_html.h"

#include <string.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool starts_tag(char c)
{
    c = lower(c);
    return (c >= 'a' && c <= 'z') || c == '/' || c == '!' || c == '?';
}

static void end_tag(struct html_scan *h)
{
    bool script = strcmp(h->tag, "script") == 0 || strcmp(h->tag, "style") == 0;
    h->place = script ? HTML_SCRIPT : HTML_TEXT;
    memset(h->recent, 0, sizeof(h->recent));
}

static void open_tag(struct html_scan *h)
{
    h->place = HTML_OPEN;
    memset(h->tag, 0, sizeof(h->tag));
    h->tag_n = 0;
}

static void start_attributes(struct html_scan *h)
{
    h->place = HTML_TAG;
    memset(h->attribute, 0, sizeof(h->attribute));
    h->attribute_n = 0;
    h->attribute_done = false;
}

static void in_open(struct html_scan *h, char c)
{
    if (c == '>') {
        end_tag(h);
    } else if (is_blank(c) || (c == '/' && h->tag_n > 0)) {
        start_attributes(h);
    } else if (h->tag_n + 1 < sizeof(h->tag)) {
        h->tag[h->tag_n++] = lower(c);
        if (strcmp(h->tag, "!--") == 0) {
            h->place = HTML_COMMENT;
            h->dashes = 0;
        }
    } else {
        h->tag[0] = '-'; /* longer than any name that matters */
    }
}

static void in_tag(struct html_scan *h, char c)
{
    if (c == '>') {
        end_tag(h);
    } else if (c == '=') {
        h->place = HTML_VALUE;
        h->settled = false;
    } else if (is_blank(c) || c == '/') {
        h->attribute_done = true;
    } else {
        if (h->attribute_done)
            start_attributes(h);
        if (h->attribute_n + 1 < sizeof(h->attribute))
            h->attribute[h->attribute_n++] = lower(c);
    }
}

static void in_value(struct html_scan *h, char c)
{
    if (c == '"' || c == '\'')
        h->place = c == '"' ? HTML_DOUBLE : HTML_SINGLE;
    else if (c == '>')
        end_tag(h);
    else if (!is_blank(c))
        h->place = HTML_UNQUOTED;
}

static void in_quotes(struct html_scan *h, char c)
{
    if (c == (h->place == HTML_DOUBLE ? '"' : '\''))
        start_attributes(h);
    else if (c == '/' || c == '?' || c == '#' || c == ':')
        h->settled = true;
}

static void in_comment(struct html_scan *h, char c)
{
    if (c == '>' && h->dashes >= 2)
        h->place = HTML_TEXT;
    h->dashes = c == '-' ? h->dashes + 1 : 0;
}

/* Script and style end at their own end tag only. */
static void in_script(struct html_scan *h, char c)
{
    size_t n = strlen(h->recent), want = strlen(h->tag);
    if (n + 1 == sizeof(h->recent)) {
        memmove(h->recent, h->recent + 1, n);
        n--;
    }
    h->recent[n++] = lower(c);
    h->recent[n] = 0;
    if (n >= want + 2 && memcmp(h->recent + n - want, h->tag, want) == 0 &&
        memcmp(h->recent + n - want - 2, "</", 2) == 0) {
        h->tag[0] = '/';
        start_attributes(h);
    }
}

void html_feed(struct html_scan *h, struct str literal)
{
    for (size_t i = 0; i < literal.n; i++) {
        char c = literal.p[i];
        switch (h->place) {
        case HTML_TEXT:
            if (c == '<' && (i + 1 == literal.n || starts_tag(literal.p[i + 1])))
                open_tag(h);
            break;
        case HTML_OPEN:
            in_open(h, c);
            break;
        case HTML_TAG:
            in_tag(h, c);
            break;
        case HTML_VALUE:
            in_value(h, c);
            break;
        case HTML_SINGLE:
        case HTML_DOUBLE:
            in_quotes(h, c);
            break;
        case HTML_UNQUOTED:
            if (c == '>')
                end_tag(h);
            else if (is_blank(c))
                start_attributes(h);
            break;
        case HTML_COMMENT:
            in_comment(h, c);
            break;
        case HTML_SCRIPT:
            in_script(h, c);
            break;
        }
    }
}

bool html_in_value(const struct html_scan *h)
{
    return h->place == HTML_SINGLE || h->place == HTML_DOUBLE;
}

bool html_in_tag(const struct html_scan *h)
{
    return h->place != HTML_TEXT && h->place != HTML_COMMENT && h->place != HTML_SCRIPT;
}

bool html_is_url(const struct html_scan *h)
{
    static const char *const names[] = {"href",       "src",  "action",
                                        "formaction", "data", "xlink:href"};
    for (size_t i = 0; html_in_value(h) && i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(h->attribute, names[i]) == 0)
            return !h->settled;
    return false;
}

bool html_is_event(const struct html_scan *h)
{
    return html_in_value(h) &&
           (strncmp(h->attribute, "on", 2) == 0 || strcmp(h->attribute, "srcdoc") == 0);
}
