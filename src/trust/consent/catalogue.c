/* The catalogue in the store: versions that only follow one another. See consent.h. */
#include "consent_impl.h"
#include "core/datetime.h"
#include "core/vec.h"

static const char *const kind_names[CATALOGUE_KINDS] = {"owners",   "data-sets",  "categories",
                                                        "purposes", "recipients", "rules",
                                                        "statutes"};

const char *catalogue_kind_name(enum catalogue_kind k)
{
    return kind_names[k];
}

bool catalogue_kind_find(struct str name, enum catalogue_kind *out)
{
    for (unsigned k = 0; k < CATALOGUE_KINDS; k++) {
        if (str_eq(name, str_c(kind_names[k]))) {
            *out = (enum catalogue_kind)k;
            return true;
        }
    }
    return false;
}

/* --- reading --- */

#define COLUMNS "SELECT code, version, doc, at, actor, leaf FROM catalogue"

static enum err read_row(const struct store_rows *rows, struct arena *a,
                         struct catalogue_entry *out, struct error *e)
{
    *out = (struct catalogue_entry){.code = str_dup(a, store_text(rows, 0)),
                                    .version = store_int(rows, 1),
                                    .at = store_int(rows, 3),
                                    .actor = str_dup(a, store_text(rows, 4)),
                                    .leaf = store_int(rows, 5)};
    if (store_is_null(rows, 2))
        return OK;
    out->doc = json_parse(a, str_dup(a, store_text(rows, 2)), &JSON_DEFAULT, NULL);
    return out->doc ? OK : error_set(e, ERR_CORRUPT, "an entry of the catalogue is damaged");
}

enum err catalogue_read(struct store_conn *c, struct arena *a, enum catalogue_kind kind,
                        struct str code, int64_t version, struct catalogue_entry *out,
                        struct error *e)
{
    struct store_rows rows;
    bool found;
    enum err err = OK;
    if (version)
        store_query(c, &rows, COLUMNS " WHERE kind = $1 AND code = $2 AND version = $3",
                    SV(SV_INT(kind), SV_TEXT(code), SV_INT(version)));
    else
        store_query(c, &rows,
                    COLUMNS " WHERE kind = $1 AND code = $2 ORDER BY version DESC LIMIT 1",
                    SV(SV_INT(kind), SV_TEXT(code)));
    found = store_next(&rows);
    if (found)
        err = read_row(&rows, a, out, e);
    enum err end = store_end(&rows, err ? NULL : e);
    if (err || end)
        return err ? err : end;
    return found && (version || out->doc)
               ? OK
               : error_set(e, ERR_NOT_FOUND, "there is no such entry in the catalogue");
}

enum err catalogue_list(struct store_conn *c, struct arena *a, enum catalogue_kind kind,
                        struct str code, const struct catalogue_entry **out, size_t *n,
                        struct error *e)
{
    VEC(struct catalogue_entry) list = VEC_INIT;
    struct store_rows rows;
    enum err err = OK;
    if (code.p)
        store_query(c, &rows, COLUMNS " WHERE kind = $1 AND code = $2 ORDER BY version",
                    SV(SV_INT(kind), SV_TEXT(code)));
    else
        store_query(c, &rows,
                    COLUMNS " WHERE kind = $1 AND doc IS NOT NULL AND version ="
                            " (SELECT MAX(m.version) FROM catalogue m WHERE m.kind ="
                            " catalogue.kind AND m.code = catalogue.code) ORDER BY code",
                    SV(SV_INT(kind)));
    while (!err && store_next(&rows))
        err = read_row(&rows, a, vec_push(a, &list), e);
    enum err end = store_end(&rows, err ? NULL : e);
    *out = list.v;
    *n = list.n;
    return err ? err : end;
}

/* --- writing --- */

/* Nothing of it is personal, so what the log commits to stands beside the leaf as it is. */
static enum err append(struct trust *t, struct store_conn *c, struct arena *a,
                       enum catalogue_kind kind, const struct catalogue_entry *x, struct error *e)
{
    struct str doc = x->doc ? json_to_text(a, x->doc) : STR_NONE;
    struct json_member m[] = {json_m(S("kind"), json_v_str(str_c(kind_names[kind]))),
                              json_m(S("code"), json_v_str(x->code)),
                              json_m(S("version"), json_v_i64(a, x->version)),
                              json_m(S("actor"), json_v_str(x->actor)),
                              json_m(S("doc"), x->doc ? *x->doc : json_v_null())};
    struct json v = json_v_object(m, 5);
    struct str content = json_to_text(a, &v);
    struct log_salt salt = log_salt_new();
    struct log_entry entry = {.kind = S("catalogue"),
                              .at = clock_now(t->clock),
                              .commitment = log_commitment(&salt, content),
                              .sealed = str_concat(a, str_n((const char *)salt.b, LOG_SALT_BYTES),
                                                   content)};
    int64_t leaf;
    enum err err = log_append(c, &entry, &leaf, e);
    return err ? err
               : store_exec(c,
                            "INSERT INTO catalogue(kind, code, version, doc, at, actor, leaf)"
                            " VALUES ($1, $2, $3, $4, $5, $6, $7)",
                            SV(SV_INT(kind), SV_TEXT(x->code), SV_INT(x->version), SV_TEXT(doc),
                               SV_INT(entry.at), SV_TEXT(x->actor), SV_INT(leaf)),
                            NULL, e);
}

/* The newest version and the newest that says something; both may be none. */
static enum err history(struct store_conn *c, struct arena *a, enum catalogue_kind kind,
                        struct str code, int64_t *version, bool *removed, const struct json **said,
                        struct error *e)
{
    const struct catalogue_entry *list;
    size_t n;
    *version = 0;
    *removed = false;
    *said = NULL;
    enum err err = catalogue_list(c, a, kind, code, &list, &n, e);
    for (size_t i = 0; !err && i < n; i++) {
        *version = list[i].version;
        *removed = !list[i].doc;
        *said = list[i].doc ? list[i].doc : *said;
    }
    return err;
}

enum err catalogue_put(struct trust *t, struct store_conn *c, struct arena *a,
                       enum catalogue_kind kind, struct str code, const struct json *doc,
                       struct str actor, int64_t *version, struct error *e)
{
    const struct json *said;
    bool removed;
    struct catalogue_entry x = {.code = code, .actor = actor, .doc = doc};
    enum err err = history(c, a, kind, code, &x.version, &removed, &said, e);
    if (!err)
        err = catalogue_check(c, a, kind, code, said, doc, e);
    if (err)
        return err;
    *version = ++x.version;
    struct json whole;
    if (kind == CATALOGUE_PURPOSES) {
        int64_t from = 1;
        bool renewed = removed || json_true(json_get(doc, S("renew")));
        if (said && !json_i64(json_get(said, S(CONSENTS_FROM)), &from))
            return error_set(e, ERR_CORRUPT, "an entry of the catalogue is damaged");
        whole = json_with(a, doc, S(CONSENTS_FROM), json_v_i64(a, renewed ? x.version : from));
        x.doc = &whole;
    }
    if (json_to_text(a, x.doc).n > CATALOGUE_DOC_MAX)
        return error_set(e, ERR_TOO_LARGE, "an entry of the catalogue has at most %d bytes",
                         CATALOGUE_DOC_MAX);
    return append(t, c, a, kind, &x, e);
}

enum err catalogue_remove(struct trust *t, struct store_conn *c, struct arena *a,
                          enum catalogue_kind kind, struct str code, struct str actor,
                          struct error *e)
{
    struct catalogue_entry now = {0};
    enum err err = catalogue_read(c, a, kind, code, 0, &now, e);
    struct catalogue_entry x = {.code = code, .version = now.version + 1, .actor = actor};
    return err ? err : append(t, c, a, kind, &x, e);
}
