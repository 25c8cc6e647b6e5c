#include "peer_jansson.h"

#include <jansson.h>

char *peer_jansson(const char *text, size_t n, size_t *wrote)
{
    json_t *tree =
        json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!tree)
        return NULL;
    char *out = json_dumps(tree, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
    json_decref(tree);
    for (*wrote = 0; out && out[*wrote]; ++*wrote)
        ;
    return out;
}
