/* Registering clients, for the command line and the interface of staff. See oidc.h. */
#include "core/datetime.h"
#include "core/log.h"
#include "oidc_impl.h"
#include <string.h>

enum { SECRET_BYTES = 32 };

struct putting {
    struct trust *trust;
    struct str id, doc, actor;
    struct hash secret;
    bool has_secret, make; /* make: it must not be there yet; else it must */
};

static bool has_secret(const struct json *doc)
{
    struct str auth = json_text(json_get(doc, S("token_endpoint_auth_method")));
    return str_starts(auth, S("client_secret_"));
}

static enum err put(struct store_conn *c, void *ctx, struct error *e)
{
    const struct putting *p = ctx;
    struct str secret = p->has_secret ? hash_bytes(&p->secret) : STR_NONE;
    int64_t now = clock_now(p->trust->clock), changed = 0;
    if (p->make)
        return store_exec(c,
                          "INSERT INTO oidc_client(id, version, secret, doc, actor, changed,"
                          " removed) VALUES ($1, 1, $2, $3, $4, $5, 0)",
                          SV(SV_TEXT(p->id), SV_BLOB(secret), SV_TEXT(p->doc), SV_TEXT(p->actor),
                             SV_INT(now)),
                          NULL, e);
    enum err err = store_exec(c,
                              "UPDATE oidc_client SET version = version + 1, doc = $2, actor = $3,"
                              " changed = $4, secret = COALESCE($5, secret)"
                              " WHERE id = $1 AND removed = 0",
                              SV(SV_TEXT(p->id), SV_TEXT(p->doc), SV_TEXT(p->actor), SV_INT(now),
                                 SV_BLOB(secret)),
                              &changed, e);
    return err || changed ? err : error_set(e, ERR_NOT_FOUND, "there is no such client");
}

static void new_secret(struct arena *a, struct putting *p, struct str *out)
{
    *out = random_token(a, SECRET_BYTES);
    p->secret = hash_sha256(*out);
    p->has_secret = true;
}

static void told(const char *what, struct str id, struct str actor)
{
    log_event(LOG_INFO, "oidc.client", LOG_Z("what", what), LOG_S("client", id),
              LOG_S("by", actor));
}

enum err oidc_client_make(struct trust *t, struct arena *a, const struct json *metadata,
                          struct str actor, struct oidc_client_made *out, struct error *e)
{
    const struct json *doc = client_check(a, metadata, e);
    struct putting p = {.trust = t, .actor = actor, .make = true};
    *out = (struct oidc_client_made){0};
    if (!doc)
        return e->code;
    p.id = json_text(json_get(doc, S("client_id")));
    p.doc = json_to_text(a, doc);
    if (has_secret(doc))
        new_secret(a, &p, &out->secret);
    enum err err = store_write(t->store, put, &p, e);
    if (err == ERR_EXISTS)
        return error_set(e, err, "there is, or was, a client of that client_id");
    if (err)
        return err;
    out->id = p.id;
    out->metadata = doc;
    told("made", p.id, actor);
    return OK;
}

static enum err read_doc(struct trust *t, struct arena *a, struct str id, struct oidc_client *out,
                         struct error *e)
{
    struct store_conn *c = store_read(t->store, e);
    if (!c)
        return e->code;
    enum err err = client_read(c, a, id, out, e);
    store_read_done(c);
    return err;
}

enum err oidc_client_change(struct trust *t, struct arena *a, struct str id,
                            const struct json *metadata, struct str actor,
                            struct oidc_client_made *out, struct error *e)
{
    struct oidc_client old = {0};
    struct putting p = {.trust = t, .id = id, .actor = actor};
    struct str named = json_text(json_get(metadata, S("client_id")));
    *out = (struct oidc_client_made){0};
    enum err err = read_doc(t, a, id, &old, e);
    if (err)
        return err;
    if (named.p && !str_eq(named, id))
        return error_set(e, ERR_INVALID, "a client_id does not change");
    if (!json_is(metadata, JSON_OBJECT))
        return error_set(e, ERR_INVALID, "a client is a JSON object");
    struct json whole = json_with(a, metadata, S("client_id"), json_v_str(id));
    const struct json *doc = client_check(a, &whole, e);
    if (!doc)
        return e->code;
    p.doc = json_to_text(a, doc);
    if (has_secret(doc) && !has_secret(old.doc))
        new_secret(a, &p, &out->secret);
    err = store_write(t->store, put, &p, e);
    if (err)
        return err;
    out->id = id;
    out->metadata = doc;
    told("changed", id, actor);
    return OK;
}

enum err oidc_client_secret(struct trust *t, struct arena *a, struct str id, struct str actor,
                            struct str *secret, struct error *e)
{
    struct oidc_client old = {0};
    struct putting p = {.trust = t, .id = id, .actor = actor};
    enum err err = read_doc(t, a, id, &old, e);
    if (!err && !has_secret(old.doc))
        err = error_set(e, ERR_CONFLICT, "this client has no secret");
    if (err)
        return err;
    p.doc = json_to_text(a, old.doc);
    new_secret(a, &p, secret);
    err = store_write(t->store, put, &p, e);
    if (!err)
        told("secret", id, actor);
    return err;
}

/* The id stays taken: another client must not get what its tokens and consents were for. */
static enum err remove_it(struct store_conn *c, void *ctx, struct error *e)
{
    const struct putting *p = ctx;
    int64_t now = clock_now(p->trust->clock), changed = 0;
    enum err err = store_exec(c,
                              "UPDATE oidc_client SET removed = $2, actor = $3, changed = $2,"
                              " secret = NULL WHERE id = $1 AND removed = 0",
                              SV(SV_TEXT(p->id), SV_INT(now), SV_TEXT(p->actor)), &changed, e);
    if (!err && !changed)
        return error_set(e, ERR_NOT_FOUND, "there is no such client");
    static const char *const ends[] = {
        "UPDATE oidc_token SET ended = $2 WHERE client = $1 AND ended = 0",
        "UPDATE oidc_grant SET ended = $2 WHERE client = $1 AND ended = 0",
        "UPDATE oidc_code SET used = $2 WHERE client = $1 AND used = 0",
    };
    for (size_t i = 0; !err && i < sizeof(ends) / sizeof(ends[0]); i++)
        err = store_exec(c, ends[i], SV(SV_TEXT(p->id), SV_INT(now)), NULL, e);
    return err;
}

enum err oidc_client_remove(struct trust *t, struct str id, struct str actor, struct error *e)
{
    struct putting p = {.trust = t, .id = id, .actor = actor};
    enum err err = store_write(t->store, remove_it, &p, e);
    if (!err)
        told("removed", id, actor);
    return err;
}

enum err oidc_client_list(struct trust *t, struct buf *out, struct error *e)
{
    struct store_rows rows;
    struct json_writer w = json_writer(out);
    struct arena a = ARENA_INIT;
    struct store_conn *c = store_read(t->store, e);
    if (!c)
        return e->code;
    json_w_array(&w);
    store_query(c, &rows,
                "SELECT doc, version, actor, changed FROM oidc_client WHERE removed = 0"
                " ORDER BY id",
                SV_EMPTY);
    while (store_next(&rows)) {
        const struct json *doc = json_parse(&a, store_text(&rows, 0), &JSON_DEFAULT, e);
        json_w_object(&w);
        for (size_t i = 0; doc && i < doc->n; i++) {
            json_w_key(&w, json_key(&doc->members[i]));
            json_w_value(&w, &doc->members[i].value);
        }
        json_w_ki64(&w, S("version"), store_int(&rows, 1));
        json_w_kstr(&w, S("changed_by"), store_text(&rows, 2));
        json_w_kstr(&w, S("changed_at"), datetime_text(&a, store_int(&rows, 3)));
        json_w_end(&w);
        arena_reset(&a);
    }
    json_w_end(&w);
    enum err err = store_end(&rows, e);
    store_read_done(c);
    arena_release(&a);
    return err;
}
