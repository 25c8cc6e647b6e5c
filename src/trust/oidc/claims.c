/* What clients are told about people (OpenID Connect Core 5): nothing but what belongs to a scope
 * that the grant has, or was asked for by name and belongs to one that was consented to; and never
 * more than the client is registered for by now. */
#include "authz.h"

static struct str text_of(const struct person *p, struct str claim)
{
    const struct {
        struct str claim, value;
    } texts[] = {{S("name"), p->name},
                 {S("name#ja-Kana-JP"), p->name_kana},
                 {S("birthdate"), p->birth_date},
                 {S("gender"), p->gender},
                 {S("email"), p->email},
                 {S("phone_number"), p->phone}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (str_eq(claim, texts[i].claim))
            return texts[i].value;
    return STR_NONE;
}

static void write_address(struct json_writer *w, const struct person *p)
{
    if (!p->address.n && !p->postal_code.n)
        return;
    json_w_key(w, S("address"));
    json_w_object(w);
    if (p->address.n)
        json_w_kstr(w, S("formatted"), p->address);
    if (p->postal_code.n)
        json_w_kstr(w, S("postal_code"), p->postal_code);
    json_w_kstr(w, S("country"), S("JP"));
    json_w_end(w);
}

static void write_claim(struct json_writer *w, const struct account *account,
                        const struct person *p, struct str claim)
{
    struct str text = text_of(p, claim);
    if (text.n)
        json_w_kstr(w, claim, text);
    else if (str_eq(claim, S("email_verified")) && p->email.n)
        json_w_kbool(w, claim, p->email_verified);
    else if (str_eq(claim, S("phone_number_verified")) && p->phone.n)
        json_w_kbool(w, claim, p->phone_verified);
    else if (str_eq(claim, S("ial")))
        json_w_kstr(w, claim, str_c(ial_name(account->ial)));
    else if (str_eq(claim, S("locale")) && account->locale.n)
        json_w_kstr(w, claim, account->locale);
    else if (str_eq(claim, S("address")))
        write_address(w, p);
}

static bool asked_by_name(const struct grant *g, bool id_token, struct str claim)
{
    const struct json *part = json_get(g->issue.claims, id_token ? S("id_token") : S("userinfo"));
    for (size_t i = 0; json_is(part, JSON_OBJECT) && i < part->n; i++)
        if (str_eq(json_key(&part->members[i]), claim))
            return true;
    return false;
}

enum err claims_write(struct call *c, struct store_conn *conn, const struct grant *g, bool id_token,
                      struct json_writer *w, struct error *e)
{
    static const struct str all[] = {S_INIT("name"),         S_INIT("name#ja-Kana-JP"),
                                     S_INIT("birthdate"),    S_INIT("gender"),
                                     S_INIT("ial"),          S_INIT("locale"),
                                     S_INIT("email"),        S_INIT("email_verified"),
                                     S_INIT("phone_number"), S_INIT("phone_number_verified"),
                                     S_INIT("address")};
    struct person p = {0};
    struct account account = {0};
    bool opened = false;
    enum err err = OK;
    for (size_t i = 0; !err && i < sizeof(all) / sizeof(all[0]); i++) {
        struct str scope = claim_scope(all[i]);
        bool told = (!id_token && scope_has(g->issue.scope, scope)) ||
                    (scope_has(g->words, scope) && asked_by_name(g, id_token, all[i]));
        if (!told || !scope_has(c->client->scope, scope)) /* as it is registered now */
            continue;
        if (!opened) { /* nothing is unsealed that nobody asked for */
            err = account_read(conn, c->a, g->account, &account, e);
            if (!err)
                err = account_person(c->o->trust, conn, c->a, g->account, &p, e);
            opened = true;
        }
        if (!err)
            write_claim(w, &account, &p, all[i]);
    }
    return err;
}
