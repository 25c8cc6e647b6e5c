/* Individual numbers are refused, see number.h. */
#include "trust/number.h"
#include "core/log.h"
#include "core/text.h"

enum err number_refuse(const char *where, struct str text, struct error *e)
{
    if (!text_has_individual_number(text))
        return OK;
    log_event(LOG_WARN, "trust.individual_number_refused", LOG_Z("where", where));
    return error_set(e, ERR_UNPROCESSABLE,
                     "%s holds what looks like an individual number (個人番号), which is not "
                     "accepted here",
                     where);
}
