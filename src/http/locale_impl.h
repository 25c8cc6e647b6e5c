/*
 * locale_impl.h - what the templates need of a locale and pages do not.
 */
#ifndef HTTP_LOCALE_IMPL_H
#define HTTP_LOCALE_IMPL_H

#include "http/locale.h"
#include "message.h"

const struct message *locale_message(const struct locale *l, struct str key); /* NULL */
const struct style *locale_style(const struct locale *l);

#endif
