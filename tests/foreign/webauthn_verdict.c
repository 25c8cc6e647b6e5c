/*
 * Our verdicts on passkeys, a JSON object a line: tests/api/webauthn.mjs asks another
 * implementation the same.
 *
 *   {"do":"options-create"|"options-get"|"create"|"get","rp","origin","challenge","verify",
 *    "user":{"handle"},"known":[CREDENTIAL],"kept":CREDENTIAL,"answer":{...}}
 *
 * answers with {"ok":true,"credential":CREDENTIAL} or {"ok":false,"error","text"}, or the options.
 */
#include "trust/webauthn.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct str bytes(struct arena *a, const struct json *v, const char *key)
{
    struct str out = STR_NONE;
    struct str text = json_text(json_get(v, str_c(key)));
    if (text.p && !base64url_decode(a, text, &out)) {
        fprintf(stderr, "webauthn_verdict: %s is not base64url\n", key);
        exit(2);
    }
    return out;
}

static struct webauthn_credential credential(struct arena *a, const struct json *v)
{
    int64_t count = 0;
    json_i64(json_get(v, S("signCount")), &count);
    return (struct webauthn_credential){.id = bytes(a, v, "id"),
                                        .public_key = bytes(a, v, "publicKey"),
                                        .handle = bytes(a, v, "handle"),
                                        .transports = json_text(json_get(v, S("transports"))),
                                        .sign_count = (uint32_t)count,
                                        .backup_eligible =
                                            json_true(json_get(v, S("backupEligible")))};
}

static void write_bytes(struct json_writer *w, struct arena *a, struct str key, struct str b)
{
    json_w_kstr(w, key, base64url_encode(a, b));
}

static void write_credential(struct json_writer *w, struct arena *a,
                             const struct webauthn_credential *c)
{
    json_w_key(w, S("credential"));
    json_w_object(w);
    write_bytes(w, a, S("id"), c->id);
    write_bytes(w, a, S("publicKey"), c->public_key);
    write_bytes(w, a, S("handle"), c->handle);
    write_bytes(w, a, S("aaguid"), c->aaguid);
    json_w_kstr(w, S("transports"), c->transports);
    json_w_ki64(w, S("signCount"), c->sign_count);
    json_w_kbool(w, S("verified"), c->user_verified);
    json_w_kbool(w, S("backupEligible"), c->backup_eligible);
    json_w_kbool(w, S("backedUp"), c->backed_up);
    json_w_end(w);
}

static void verdict(struct arena *a, const struct json *v, struct buf *out)
{
    struct json_writer w = json_writer(out);
    struct str op = json_text(json_get(v, S("do")));
    struct str origin = json_text(json_get(v, S("origin")));
    struct webauthn_rp rp = {json_text(json_get(v, S("rp"))), S("City"), &origin, 1};
    const struct json *user = json_get(v, S("user")), *known = json_get(v, S("known"));
    size_t n = json_is(known, JSON_ARRAY) ? known->n : 0;
    struct webauthn_credential *list = ARENA_ARRAY(a, struct webauthn_credential, n), now;
    for (size_t i = 0; i < n; i++)
        list[i] = credential(a, json_at(known, i));
    struct webauthn_asked asked = {.rp = &rp,
                                   .challenge = bytes(a, v, "challenge"),
                                   .user_verification = json_true(json_get(v, S("verify"))),
                                   .timeout_ms = 120000,
                                   .user = {bytes(a, user, "handle"), S("hanako"), S("Hanako")},
                                   .known = list,
                                   .n_known = n};
    struct webauthn_credential kept = credential(a, json_get(v, S("kept")));
    struct webauthn_answer answer;
    struct error e = {0};
    if (str_eq(op, S("options-create"))) {
        webauthn_options_create(&w, &asked);
        return;
    }
    if (str_eq(op, S("options-get"))) {
        webauthn_options_get(&w, &asked);
        return;
    }
    enum err err = webauthn_answer_read(a, json_get(v, S("answer")), &answer, &e);
    if (!err)
        err = str_eq(op, S("create")) ? webauthn_created(a, &asked, &answer, &now, &e)
                                      : webauthn_asserted(a, &asked, &kept, &answer, &now, &e);
    json_w_object(&w);
    json_w_kbool(&w, S("ok"), !err);
    if (err) {
        json_w_kstr(&w, S("error"), str_c(err_name(err)));
        json_w_kstr(&w, S("text"), str_c(e.text));
    } else {
        write_credential(&w, a, &now);
    }
    json_w_end(&w);
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    while ((n = getline(&line, &size, stdin)) > 0) {
        struct arena a = ARENA_INIT;
        struct buf out = BUF_INIT;
        struct error e = {0};
        const struct json *v = json_parse(&a, str_n(line, (size_t)n), &JSON_DEFAULT, &e);
        if (!v) {
            fprintf(stderr, "webauthn_verdict: %s\n", e.text);
            return 2;
        }
        verdict(&a, v, &out);
        puts(out.p);
        buf_release(&out);
        arena_release(&a);
    }
    free(line);
    return 0;
}
