/*
 * What a consent says, for people and for programs: the notice that is shown, the receipt, the
 * Consent resource of FHIR R4. All are made from the record and from the versions of the catalogue
 * that it names, which never change.
 */
#include "consent_impl.h"
#include "core/datetime.h"

#define DPV "https://w3id.org/dpv#"

static struct str code_of(const struct json *v)
{
    return json_text(json_get(v, S("code")));
}

static enum err version_of(struct store_conn *c, struct arena *a, enum catalogue_kind kind,
                           const struct json *v, struct catalogue_entry *out, struct error *e)
{
    int64_t version = 0;
    *out = (struct catalogue_entry){0};
    if (!json_i64(json_get(v, S("version")), &version) || version < 1)
        return error_set(e, ERR_CORRUPT, "the terms of a consent are damaged");
    enum err err = catalogue_read(c, a, kind, code_of(v), version, out, e);
    return !err && !out->doc ? error_set(e, ERR_CORRUPT, "a consent names what was removed") : err;
}

static struct str in_words(const struct catalogue_entry *x, const char *member, struct str lang)
{
    const struct json *texts = json_get(x->doc, str_c(member));
    struct str text = json_text(json_get(texts, lang));
    return text.p ? text : json_text(json_get(texts, S("ja")));
}

static void write_entry(struct json_writer *w, const struct catalogue_entry *x, struct str lang)
{
    json_w_object(w);
    json_w_kstr(w, S("code"), x->code);
    json_w_ki64(w, S("version"), x->version);
    json_w_kstr(w, S("title"), in_words(x, "title", lang));
    if (json_get(x->doc, S("text")))
        json_w_kstr(w, S("text"), in_words(x, "text", lang));
    if (json_get(x->doc, S("fields"))) {
        json_w_kbool(w, S("sensitive"), json_true(json_get(x->doc, S("sensitive"))));
        json_w_key(w, S("fields"));
        json_w_value(w, json_get(x->doc, S("fields")));
    }
    json_w_end(w);
}

static enum err write_list(struct store_conn *c, struct arena *a, struct json_writer *w,
                           enum catalogue_kind kind, const struct json *list, struct str lang,
                           struct error *e)
{
    struct catalogue_entry x;
    enum err err = OK;
    json_w_array(w);
    for (size_t i = 0; !err && i < list->n; i++) {
        err = version_of(c, a, kind, &list->items[i], &x, e);
        if (!err)
            write_entry(w, &x, lang);
    }
    json_w_end(w);
    return err;
}

static struct str finish(struct arena *a, struct buf *b)
{
    struct str text = buf_dup(b, a);
    buf_release(b);
    return text;
}

enum err consent_notice(struct store_conn *c, struct arena *a, const struct consent_record *r,
                        struct str lang, struct str *text, struct str *hash, struct error *e)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    struct period valid = terms_period(r->terms);
    struct catalogue_entry recipient;
    int64_t acr = 0;
    json_i64(json_get(r->terms, S("acr")), &acr);
    json_w_object(&w);
    json_w_kstr(&w, S("consent"), r->id);
    json_w_kstr(&w, S("lang"), lang);
    json_w_kstr(&w, S("from"), datetime_text(a, valid.from));
    json_w_kstr(&w, S("until"), datetime_text(a, valid.until));
    if (acr)
        json_w_kstr(&w, S("acr"), str_c(acr_name((enum acr)acr)));
    enum err err =
        version_of(c, a, CATALOGUE_RECIPIENTS, json_get(r->terms, S("recipient")), &recipient, e);
    if (!err) {
        json_w_key(&w, S("recipient"));
        write_entry(&w, &recipient, lang);
        json_w_key(&w, S("purposes"));
        err = write_list(c, a, &w, CATALOGUE_PURPOSES, json_get(r->terms, S("purposes")), lang, e);
    }
    if (!err) {
        json_w_key(&w, S("categories"));
        err = write_list(c, a, &w, CATALOGUE_CATEGORIES, json_get(r->terms, S("categories")), lang,
                         e);
    }
    if (!err)
        json_w_end(&w);
    *text = finish(a, &b);
    struct hash h = hash_sha256(*text);
    *hash = base64url_encode(a, hash_text(&h));
    return err;
}

/* --- the receipt --- */

/* The last time that somebody was asked; NULL: not yet. */
static const struct consent_event *answer_of(const struct consent_record *r)
{
    for (size_t i = r->n_events; i-- > 0;)
        if (r->events[i].evidence.notice.p)
            return &r->events[i];
    return NULL;
}

static struct str answer_lang(const struct consent_record *r)
{
    const struct consent_event *x = answer_of(r);
    return x ? x->evidence.lang : S("ja");
}

static void write_purpose(struct json_writer *w, const struct catalogue_entry *x, struct str lang)
{
    struct str iri = json_text(json_get(x->doc, S("iri")));
    json_w_object(w);
    json_w_kstr(w, S("purpose"), in_words(x, "text", lang));
    json_w_kstr(w, S("purpose_code"), x->code);
    json_w_ki64(w, S("purpose_version"), x->version);
    json_w_kstr(w, S("purpose_type"), iri.p ? iri : S(DPV "Purpose"));
    json_w_kstr(w, S("lawful_basis"), S(DPV "Consent"));
    json_w_end(w);
}

static void write_category(struct json_writer *w, const struct catalogue_entry *x, struct str lang)
{
    struct str iri = json_text(json_get(x->doc, S("iri")));
    bool sensitive = json_true(json_get(x->doc, S("sensitive")));
    json_w_object(w);
    json_w_kstr(w, S("pii_attribute_id"), x->code);
    json_w_kstr(w, S("pii_attribute"), in_words(x, "title", lang));
    json_w_kstr(w, S("pii_type"),
                iri.p       ? iri
                : sensitive ? S(DPV "SensitivePersonalData")
                            : S(DPV "PersonalData"));
    json_w_kbool(w, S("sensitive_pii_category"), sensitive);
    json_w_end(w);
}

static enum err write_each(struct store_conn *c, struct arena *a, struct json_writer *w,
                           enum catalogue_kind kind, const struct json *list, struct str lang,
                           void (*write)(struct json_writer *, const struct catalogue_entry *,
                                         struct str),
                           struct error *e)
{
    struct catalogue_entry x;
    enum err err = OK;
    json_w_array(w);
    for (size_t i = 0; !err && i < list->n; i++) {
        err = version_of(c, a, kind, &list->items[i], &x, e);
        if (!err)
            write(w, &x, lang);
    }
    json_w_end(w);
    return err;
}

static enum err write_processing(struct store_conn *c, struct arena *a, struct json_writer *w,
                                 const struct consent_record *r, struct error *e)
{
    const struct consent_event *answer = answer_of(r);
    struct str lang = answer_lang(r);
    json_w_key(w, S("pii_processing"));
    json_w_object(w);
    json_w_kstr(w, S("language"), lang);
    if (answer) {
        json_w_kstr(w, S("privacy_notice_sha256"), answer->evidence.notice);
        json_w_kstr(w, S("collection_method"), answer->evidence.method);
    }
    json_w_kstr(w, S("jurisdiction"), S("JP"));
    json_w_kstr(w, S("recipient"), code_of(json_get(r->terms, S("recipient"))));
    json_w_kstr(w, S("withdrawal_method"), S("/trust/v1/my/consents"));
    json_w_key(w, S("purposes"));
    enum err err = write_each(c, a, w, CATALOGUE_PURPOSES, json_get(r->terms, S("purposes")), lang,
                              write_purpose, e);
    json_w_key(w, S("pii_information"));
    if (!err)
        err = write_each(c, a, w, CATALOGUE_CATEGORIES, json_get(r->terms, S("categories")), lang,
                         write_category, e);
    if (!err)
        json_w_end(w);
    return err;
}

static void write_party(struct json_writer *w, struct str id, struct str name, const char *role)
{
    json_w_object(w);
    json_w_kstr(w, S("party_id"), id);
    if (name.p)
        json_w_kstr(w, S("party_name"), name);
    json_w_kstr(w, S("party_role"), str_c(role));
    json_w_end(w);
}

static void write_events(struct arena *a, struct json_writer *w, const struct consent_record *r)
{
    static const char *const states[CONSENT_STEPS] = {
        DPV "ConsentRequested", DPV "ConsentGiven",   DPV "ConsentRefused",
        DPV "ConsentWithdrawn", DPV "ConsentExpired", DPV "ConsentInvalidated"};
    struct period valid = terms_period(r->terms);
    json_w_key(w, S("events"));
    json_w_array(w);
    for (size_t i = 0; i < r->n_events; i++) {
        const struct consent_event *x = &r->events[i];
        json_w_object(w);
        json_w_kstr(w, S("event_time"), datetime_text(a, x->at));
        json_w_kstr(w, S("event_type"), S("explicit"));
        json_w_kstr(w, S("event_state"), str_c(states[x->step]));
        json_w_ki64(w, S("log_entry"), x->leaf);
        if (x->evidence.notice.p)
            json_w_kstr(w, S("acr"), str_c(acr_name(x->evidence.acr)));
        if (x->step == CONSENT_STEP_GIVEN) {
            json_w_kstr(w, S("valid_from"), datetime_text(a, valid.from));
            json_w_kstr(w, S("valid_until"), datetime_text(a, valid.until));
        }
        json_w_end(w);
    }
    json_w_end(w);
}

enum err consent_receipt(struct trust *t, struct store_conn *c, struct arena *a,
                         const struct consent_record *r, struct str issuer, struct str sub,
                         struct str *text, struct error *e)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    struct catalogue_entry to;
    enum err err =
        version_of(c, a, CATALOGUE_RECIPIENTS, json_get(r->terms, S("recipient")), &to, e);
    json_w_object(&w);
    json_w_kstr(&w, S("iss"), issuer);
    json_w_ki64(&w, S("iat"), clock_now(t->clock) / SECOND_US);
    json_w_key(&w, S("header"));
    json_w_object(&w);
    json_w_kstr(&w, S("schema_version"), S("ISO/IEC TS 27560:2023"));
    json_w_kstr(&w, S("record_id"), r->id);
    if (sub.p)
        json_w_kstr(&w, S("pii_principal_id"), sub);
    json_w_end(&w);
    if (!err)
        err = write_processing(c, a, &w, r, e);
    if (!err) {
        json_w_key(&w, S("party_identification"));
        json_w_array(&w);
        write_party(&w, issuer, STR_NONE, DPV "DataController");
        write_party(&w, to.code, in_words(&to, "title", answer_lang(r)), DPV "Recipient");
        json_w_end(&w);
        write_events(a, &w, r);
        json_w_end(&w);
    }
    *text = finish(a, &b);
    return err;
}

/* --- FHIR R4 --- */

#define HL7 "http://terminology.hl7.org/CodeSystem/"

static void write_coding(struct json_writer *w, struct str system, struct str code,
                         struct str display)
{
    json_w_object(w);
    json_w_kstr(w, S("system"), system);
    json_w_kstr(w, S("code"), code);
    if (display.p)
        json_w_kstr(w, S("display"), display);
    json_w_end(w);
}

/* A CodeableConcept of one coding. */
static void write_concept(struct json_writer *w, struct str system, struct str code)
{
    json_w_object(w);
    json_w_key(w, S("coding"));
    json_w_array(w);
    write_coding(w, system, code, STR_NONE);
    json_w_end(w);
    json_w_end(w);
}

static void write_concepts(struct json_writer *w, const char *key, struct str system,
                           struct str code)
{
    json_w_key(w, str_c(key));
    json_w_array(w);
    write_concept(w, system, code);
    json_w_end(w);
}

static void write_identifier(struct json_writer *w, struct str system, struct str value)
{
    json_w_key(w, S("identifier"));
    json_w_object(w);
    json_w_kstr(w, S("system"), system);
    json_w_kstr(w, S("value"), value);
    json_w_end(w);
}

/* Codings of what the terms list; *sensitive: one of them is. */
static enum err write_codings(struct store_conn *c, struct arena *a, struct json_writer *w,
                              const char *key, enum catalogue_kind kind, const struct json *list,
                              struct str issuer, bool *sensitive, struct error *e)
{
    struct catalogue_entry x;
    enum err err = OK;
    struct str system =
        str_printf(a, "%" STR_F "/trust/v1/catalogue/%s", STR_A(issuer), catalogue_kind_name(kind));
    json_w_key(w, str_c(key));
    json_w_array(w);
    for (size_t i = 0; !err && i < list->n; i++) {
        err = version_of(c, a, kind, &list->items[i], &x, e);
        if (err)
            break;
        write_coding(w, system, x.code, in_words(&x, "title", S("ja")));
        *sensitive = *sensitive || json_true(json_get(x.doc, S("sensitive")));
    }
    json_w_end(w);
    return err;
}

static enum err write_provision(struct store_conn *c, struct arena *a, struct json_writer *w,
                                const struct consent_record *r, struct str issuer, struct error *e)
{
    struct period valid = terms_period(r->terms);
    bool sensitive = false;
    json_w_key(w, S("provision"));
    json_w_object(w);
    json_w_kstr(w, S("type"), r->state == CONSENT_STEP_REFUSED ? S("deny") : S("permit"));
    json_w_key(w, S("period"));
    json_w_object(w);
    json_w_kstr(w, S("start"), datetime_text(a, valid.from));
    json_w_kstr(w, S("end"), datetime_text(a, valid.until));
    json_w_end(w);
    json_w_key(w, S("actor"));
    json_w_array(w);
    json_w_object(w);
    json_w_key(w, S("role"));
    write_concept(w, S(HL7 "v3-ParticipationType"), S("IRCP"));
    json_w_key(w, S("reference"));
    json_w_object(w);
    write_identifier(w, issuer, code_of(json_get(r->terms, S("recipient"))));
    json_w_end(w);
    json_w_end(w);
    json_w_end(w);
    write_concepts(w, "action", S(HL7 "consentaction"), S("access"));
    enum err err = write_codings(c, a, w, "purpose", CATALOGUE_PURPOSES,
                                 json_get(r->terms, S("purposes")), issuer, &sensitive, e);
    if (!err)
        err = write_codings(c, a, w, "class", CATALOGUE_CATEGORIES,
                            json_get(r->terms, S("categories")), issuer, &sensitive, e);
    if (err)
        return err;
    if (sensitive) {
        json_w_key(w, S("securityLabel"));
        json_w_array(w);
        write_coding(w, S(HL7 "v3-Confidentiality"), S("R"), STR_NONE);
        json_w_end(w);
    }
    json_w_end(w);
    return OK;
}

enum err consent_fhir(struct trust *t, struct store_conn *c, struct arena *a,
                      const struct consent_record *r, struct str issuer, struct str sub,
                      struct str *text, struct error *e)
{
    static const char *const status[CONSENT_STEPS] = {"proposed", "active",   "rejected",
                                                      "inactive", "inactive", "inactive"};
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    (void)t;
    json_w_object(&w);
    json_w_kstr(&w, S("resourceType"), S("Consent"));
    json_w_key(&w, S("identifier"));
    json_w_array(&w);
    json_w_object(&w);
    json_w_kstr(&w, S("system"), issuer);
    json_w_kstr(&w, S("value"), r->id);
    json_w_end(&w);
    json_w_end(&w);
    json_w_kstr(&w, S("status"), str_c(status[r->state]));
    json_w_key(&w, S("scope"));
    write_concept(&w, S(HL7 "consentscope"), S("patient-privacy"));
    write_concepts(&w, "category", S("http://loinc.org"), S("59284-0"));
    json_w_key(&w, S("patient"));
    json_w_object(&w);
    if (sub.p)
        write_identifier(&w, issuer, sub);
    else
        json_w_kstr(&w, S("display"), S("-"));
    json_w_end(&w);
    json_w_kstr(&w, S("dateTime"),
                datetime_text(a, r->n_events ? r->events[r->n_events - 1].at : r->made));
    json_w_key(&w, S("policyRule"));
    write_concept(&w, S(HL7 "v3-ActCode"), S("OPTIN"));
    enum err err = write_provision(c, a, &w, r, issuer, e);
    if (!err)
        json_w_end(&w);
    *text = finish(a, &b);
    return err;
}
