/*
 * template_html.h - where in HTML a place of a template is: text, tag, attribute, script.
 *
 * A small scanner that is fed the literal text of a template in order. It does not check HTML; it
 * only answers what a value at this place must obey.
 */
#ifndef HTTP_TEMPLATE_HTML_H
#define HTTP_TEMPLATE_HTML_H

#include "core/str.h"

enum html_place {
    HTML_TEXT,
    HTML_OPEN,   /* in the name of a tag */
    HTML_TAG,    /* between attributes or in the name of one */
    HTML_VALUE,  /* after '=', before the quote */
    HTML_SINGLE, /* in a value in single quotes */
    HTML_DOUBLE,
    HTML_UNQUOTED,
    HTML_COMMENT,
    HTML_SCRIPT /* inside script or style */
};

struct html_scan {
    enum html_place place;
    char tag[8], attribute[16]; /* lower case, cut, NUL-terminated */
    size_t tag_n, attribute_n;
    bool attribute_done; /* a blank followed the attribute's name */
    bool settled;        /* the value's literal text has left no choice of scheme */
    unsigned dashes;     /* at the end of what a comment had so far */
    char recent[9];      /* the latest bytes inside script: looking for its end */
};

void html_feed(struct html_scan *h, struct str literal);
bool html_in_value(const struct html_scan *h); /* in a quoted attribute value */
bool html_in_tag(const struct html_scan *h);   /* anywhere between '<' and '>' */
bool html_is_url(const struct html_scan *h);   /* a value here may choose the scheme of a link */
bool html_is_event(
    const struct html_scan *h); /* the value is script or a document: onclick, srcdoc */

#endif
