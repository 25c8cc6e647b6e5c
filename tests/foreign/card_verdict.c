/*
 * Our verdicts on cards, a JSON object a line; bytes are base64url.
 *
 *   {"folder","ocsp","later","do":"text","challenge"}                        {"text"}
 *   {...,"do":"proof","challenge","certificate","signature"}                 a verdict
 *   {...,"do":"signed","cms","content"}                                      a verdict
 *
 * folder is trust.card_folder; ocsp (may be absent) is asked when the lists do not know; later is
 * in seconds from now. A verdict is {"ok":true,"status","acr","serial","items":{...}} or
 * {"ok":false,"error","text"}.
 */
#include "core/log.h"
#include "trust/card.h"
#include <stdio.h>
#include <stdlib.h>

static const struct card_asked asked = {S_INIT("browser"), S_INIT("https://id.city.example"),
                                        S_INIT("sign in")};

static struct str bytes(struct arena *a, const struct json *v, const char *key)
{
    struct str out = STR_NONE;
    base64url_decode(a, json_text(json_get(v, str_c(key))), &out);
    return out;
}

static void write_items(struct json_writer *w, const struct card_items *i)
{
    const struct {
        const char *name;
        struct str value;
    } items[] = {{"name", i->name},       {"nameFlags", i->name_flags},
                 {"gender", i->gender},   {"birthDate", i->birth_date},
                 {"address", i->address}, {"addressFlags", i->address_flags}};
    json_w_key(w, S("items"));
    json_w_object(w);
    for (size_t n = 0; n < sizeof(items) / sizeof(items[0]); n++)
        if (items[n].value.p)
            json_w_kstr(w, str_c(items[n].name), items[n].value);
    json_w_end(w);
}

static void write_verdict(struct json_writer *w, struct arena *a,
                          const struct card_certificate *cert)
{
    static const char *const names[] = {"unknown", "good", "revoked"};
    json_w_kstr(w, S("status"), str_c(names[cert->status]));
    json_w_ki64(w, S("acr"), card_acr(cert->status));
    json_w_kstr(w, S("serial"), hex_encode(a, cert->serial));
    write_items(w, &cert->items);
}

static enum err judge(struct arena *a, struct client *http, const struct json *v,
                      struct card_certificate *cert, struct error *e)
{
    int64_t later = 0;
    json_i64(json_get(v, S("later")), &later);
    struct str ocsp = json_text(json_get(v, S("ocsp")));
    const char *url = ocsp.p ? str_z(a, ocsp) : "";
    struct card_options o = {.folder = str_z(a, json_text(json_get(v, S("folder")))),
                             .auth_policy = "1.2.392.200149.8.5.1.3.30",
                             .sign_policy = "1.2.392.200149.8.5.1.1.20",
                             .auth_ocsp = url,
                             .sign_ocsp = url};
    int64_t now = clock_now(&clock_system) + later * SECOND_US;
    struct card *c = card_open(&o, e);
    if (!c)
        return e->code;
    enum err err =
        str_eq(json_text(json_get(v, S("do"))), S("proof"))
            ? card_proof(c, a, &asked, bytes(a, v, "challenge"), bytes(a, v, "certificate"),
                         bytes(a, v, "signature"), now, cert, e)
            : card_signed(c, a, bytes(a, v, "cms"), bytes(a, v, "content"), now, cert, e);
    if (!err)
        err = card_ask(c, a, http, cert, now, e);
    card_close(c);
    return err;
}

static void answer(struct arena *a, struct client *http, const struct json *v, struct buf *out)
{
    struct json_writer w = json_writer(out);
    struct card_certificate cert;
    struct error e = {0};
    json_w_object(&w);
    if (str_eq(json_text(json_get(v, S("do"))), S("text"))) {
        json_w_kstr(&w, S("text"), card_text(a, &asked, bytes(a, v, "challenge")));
    } else {
        enum err err = judge(a, http, v, &cert, &e);
        json_w_kbool(&w, S("ok"), !err);
        if (err) {
            json_w_kstr(&w, S("error"), str_c(err_name(err)));
            json_w_kstr(&w, S("text"), str_c(e.text));
        } else {
            write_verdict(&w, a, &cert);
        }
    }
    json_w_end(&w);
}

static struct client *open_client(void)
{
    struct client_options o;
    struct config_bind bind = {&client_config, &o};
    struct error e = {0};
    config_defaults(&bind);
    o.allow_private = true;
    struct client *c = client_new(&o, &e);
    if (c)
        return c;
    fprintf(stderr, "card_verdict: %s\n", e.text);
    exit(2);
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    struct client *http = open_client();
    log_set_level(LOG_WARN);
    while ((n = getline(&line, &size, stdin)) > 0) {
        struct arena a = ARENA_INIT;
        struct buf out = BUF_INIT;
        const struct json *v = json_parse(&a, str_n(line, (size_t)n), &JSON_DEFAULT, NULL);
        answer(&a, http, v, &out);
        puts(out.p);
        buf_release(&out);
        arena_release(&a);
    }
    client_free(http);
    free(line);
    return 0;
}
