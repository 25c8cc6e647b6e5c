/*
 * card.h - the My Number Card (マイナンバーカード) as proof of who somebody is: JPKI, 公的個人認証.
 *
 * A card holds two keys with a certificate each. With the one for authentication (利用者証明用) its
 * owner signs a challenge and is signed in; it says nothing about the person. With the one for
 * signing (署名用) its owner signs documents (detached CMS); it carries the four items (基本4情報)
 * name, date of birth, gender, address, and it ends when one of them changes.
 *
 * Certificates are checked against the certification authorities of their role, which stand in the
 * folder trust.card_folder, and never against those of the other role:
 *
 *     auth/NAME.pem   auth/NAME.crl       PEM or DER; lists of revoked certificates are read again
 *     sign/NAME.pem   sign/NAME.crl       when they have changed
 *
 * Both the authorities and the policies are data: a new generation is a new file or setting. What
 * is taken is RSA of 2048 to 4096 bits, RSASSA-PKCS1-v1_5 and SHA-256, which is all that a card can
 * do; the next generation of cards needs code here.
 *
 * Whether a certificate was revoked is told by a list, else by the authority's OCSP responder
 * (card_ask), else it is unknown: that is said (CARD_UNKNOWN), never taken for good, and lowers
 * what the proof is worth (card_acr).
 *
 * No real card and no certificate of J-LIS was used to test this: a card emulator and authorities
 * of our own were, read by OpenSC (tests/README.md). The individual number (個人番号) is not in
 * these certificates, and a value that looks like one is refused (number.h).
 *
 *     card_challenge_new(conn, a, &asked, now, &challenge, e);         inside a change
 *     ... the card signs card_text(a, &asked, challenge) ...
 *     card_proof(c, a, &asked, challenge, der, signature, now, &cert, e);
 *     card_ask(c, a, client, &cert, now, e);                           on a pool task
 *     card_challenge_take(conn, &asked, challenge, now, e);            inside a change, with what
 *     card_find(t, conn, &cert, &account, e);                          the proof was for
 *
 * Errors: ERR_INVALID is not well-formed, ERR_UNAUTHENTICATED well-formed but no proof,
 * ERR_UNAVAILABLE no authority of the role is known. A struct card may be used by any thread.
 */
#ifndef TRUST_CARD_H
#define TRUST_CARD_H

#include "crypto/hash.h"
#include "http/client.h"
#include "trust/decision.h"
#include "trust/trust.h"

enum card_role { CARD_AUTH, CARD_SIGN, CARD_ROLES };
enum card_status { CARD_UNKNOWN, CARD_GOOD, CARD_REVOKED };

enum {
    CARD_CERTIFICATE_BYTES_MAX = 16 * 1024,
    CARD_CMS_BYTES_MAX = 64 * 1024,
    CARD_NAME_BYTES_MAX = 512,
    CARD_ADDRESS_BYTES_MAX = 1024,
    CARD_FLAGS_BYTES_MAX = 512,
    CARD_CHALLENGE_BYTES = 32,
    CARD_CHALLENGE_S = 120,
    CARD_CHALLENGES_MAX = 8, /* open ones of one session */
    CARD_CLOCK_S = 300       /* that the clocks of others may go wrong */
};

/* --- opening --- */

struct card;
/* Without a folder there are no authorities, and every proof is refused. ERR_INVALID names the file
 * that is no certificate of an authority; one authority for both roles is refused too. Lists that
 * are not good are logged and left out. */
struct card *card_open(const struct card_options *o, struct error *e);
void card_close(struct card *c);
/* Read the lists of revoked certificates again if one has changed. */
void card_reload(struct card *c);
bool card_knows(const struct card *c, enum card_role role); /* an authority of this role */

/* --- a certificate that is good --- */

/* The four items; texts as they stand in the certificate. Absent: not there. */
struct card_items {
    struct str name;
    struct str name_flags; /* for each character '1' when it stands for another: 代替文字 */
    struct str gender;     /* "male", "female", "other" */
    struct str birth_date; /* "1980-01-02", or "1980-01" or "1980" where the rest is not known */
    struct str birth_text; /* as it stands there: EYYYYMMDD, E the era */
    struct str address;
    struct str address_flags;
};

struct card_certificate {
    enum card_role role;
    struct hash issuer; /* SHA-256 of the issuer's name in DER */
    struct str serial;  /* bytes, big-endian */
    struct hash key;    /* SHA-256 of its SubjectPublicKeyInfo */
    int64_t not_before, not_after;
    enum card_status status;
    struct card_items items; /* of CARD_SIGN */
};

/*
 * Is it a certificate of this role that is good now: issued by an authority of the role, for its
 * policy and key usage, in its time, not on a list? *out is in the arena. A revoked one is
 * ERR_UNAUTHENTICATED.
 */
enum err card_certificate_check(struct card *c, struct arena *a, enum card_role role,
                                struct str der, int64_t now, struct card_certificate *out,
                                struct error *e);
/*
 * When the status is unknown, ask the responder of the role, if one is set; waits: never on an HTTP
 * worker. OK with a status that is still unknown when there is no answer to be trusted (none at
 * all, signed by somebody else, without our nonce, not fresh); the reason is logged.
 * ERR_UNAUTHENTICATED: it was revoked.
 */
enum err card_ask(struct card *c, struct arena *a, struct client *http,
                  struct card_certificate *cert, int64_t now, struct error *e);

/* What a proof with the authentication certificate is worth: AAL3 when it is known to be good, AAL2
 * (a card and its PIN, which may have been reported lost) when that is unknown. */
enum acr card_acr(enum card_status status);
/* The same for session_start(): methods of session.h. 0: it proves nothing. */
unsigned card_amr(enum card_status status);

/* --- signing in: a challenge --- */

/* What a challenge is for: it is worth nothing elsewhere. */
struct card_asked {
    struct str session; /* whatever tells this browser from others, before anybody is signed in */
    struct str origin;  /* "https://id.city.example" */
    struct str purpose; /* the words that were shown */
};

/* Inside a change. 32 random bytes, for one use within 120 s. ERR_TOO_MANY: the session has
 * CARD_CHALLENGES_MAX open. */
enum err card_challenge_new(struct store_conn *c, struct arena *a, const struct card_asked *asked,
                            int64_t now, struct str *challenge, struct error *e);
/* Inside a change: it was ours, for this, not used, not too old; now it is used.
 * ERR_UNAUTHENTICATED otherwise, without saying what. */
enum err card_challenge_take(struct store_conn *c, const struct card_asked *asked,
                             struct str challenge, int64_t now, struct error *e);
/* What the card signs (SHA-256 and PKCS #1 v1.5): lines of text that say what it is. */
struct str card_text(struct arena *a, const struct card_asked *asked, struct str challenge);
/* The owner of the certificate has signed card_text(). Take the challenge too. */
enum err card_proof(struct card *c, struct arena *a, const struct card_asked *asked,
                    struct str challenge, struct str der, struct str signature, int64_t now,
                    struct card_certificate *out, struct error *e);

/* --- signing: a document --- */

/* The CMS SignedData (RFC 5652, DER) is the signature of exactly one signer over this content,
 * which is not in it, with a certificate of CARD_SIGN, which is: SHA-256, with signed attributes.
 */
enum err card_signed(struct card *c, struct arena *a, struct str cms, struct str content,
                     int64_t now, struct card_certificate *out, struct error *e);

/* Do all of name, date of birth, gender and address agree, widths and blanks apart? What is not
 * known agrees with nothing, and so does a name with a character that stands for another. */
bool card_items_agree(const struct card_items *x, const struct card_items *y);

/* --- credentials: which card is whose --- */

/*
 * A card is known by issuer, number and key of its authentication certificate, as a blind index;
 * these change when it is issued again. An account has one at a time.
 */

/* ERR_NOT_FOUND: nobody's. The account's state is not looked at. */
enum err card_find(struct trust *t, struct store_conn *c, const struct card_certificate *cert,
                   int64_t *account, struct error *e);

/* Why a card is linked to an account. */
struct card_ground {
    enum { CARD_FIRST, CARD_BY_SIGNATURE, CARD_BY_DESK } kind;
    const struct card_certificate
        *sign;                      /* BY_SIGNATURE: fresh proof with the signing certificate */
    const struct card_items *known; /* BY_SIGNATURE: what the account is known by */
    int64_t staff;                  /* BY_DESK: the account of who did it */
};
/*
 * Inside a change: link the card to an account; an entry of the log says on which ground. OK when
 * it is linked to it already. ERR_EXISTS: it is somebody else's. CARD_FIRST is for an account
 * without a card: ERR_CONFLICT when it has one. The others put it in the place of the one before,
 * which is worth nothing from then on. ERR_FORBIDDEN: the ground does not hold (items that do not
 * agree, a signing certificate that is not known to be good, no staff). Whether a card of unknown
 * status may be linked is for the caller to say.
 */
enum err card_link(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                   const struct card_certificate *cert, const struct card_ground *why,
                   struct error *e);
/* Inside a change: no card signs in for this account any more. by: who did it. ERR_NOT_FOUND: it
 * has none. */
enum err card_unlink(struct trust *t, struct store_conn *c, int64_t account, int64_t by,
                     struct error *e);

#endif
