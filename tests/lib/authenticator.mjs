// authenticator.mjs - a passkey authenticator and its browser in JavaScript: for tests that need
// answers that are right in all but one thing.
//
//     const key = new Authenticator({ alg: -7 });
//     const answer = key.create({ rp: 'city.example', origin, challenge });
//     const signed = key.get({ rp: 'city.example', origin, challenge });
//
// Every part can be replaced: clientData, authData, statement ... (see the defaults below).
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';

export const base64url = (bytes) => Buffer.from(bytes).toString('base64url');
export const sha256 = (bytes) => createHash('sha256').update(bytes).digest();

export const UP = 1, UV = 4, BE = 8, BS = 16, AT = 64, ED = 128;

function head(major, n) {
    if (n < 24) return Buffer.from([major << 5 | n]);
    if (n < 256) return Buffer.from([major << 5 | 24, n]);
    const b = Buffer.alloc(3);
    b[0] = major << 5 | 25;
    b.writeUInt16BE(n, 1);
    return b;
}

// CBOR of numbers, texts, bytes, arrays and maps (a Map, or an array of pairs to choose the order).
export function cbor(v) {
    if (typeof v === 'boolean') return Buffer.from([v ? 0xf5 : 0xf4]);
    if (typeof v === 'number') return v >= 0 ? head(0, v) : head(1, -1 - v);
    if (typeof v === 'string') return Buffer.concat([head(3, Buffer.byteLength(v)), Buffer.from(v)]);
    if (v instanceof Uint8Array) return Buffer.concat([head(2, v.length), v]);
    if (v instanceof Map) {
        return Buffer.concat([head(5, v.size), ...[...v].flatMap(([k, x]) => [cbor(k), cbor(x)])]);
    }
    return Buffer.concat([head(4, v.length), ...v.map(cbor)]);
}

const pairs = {
    [-7]: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    [-8]: () => generateKeyPairSync('ed25519'),
    [-257]: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
};

function coseKey(alg, publicKey) {
    const jwk = publicKey.export({ format: 'jwk' });
    const bytes = (name) => Buffer.from(jwk[name], 'base64url');
    if (alg === -7) return new Map([[1, 2], [3, -7], [-1, 1], [-2, bytes('x')], [-3, bytes('y')]]);
    if (alg === -8) return new Map([[1, 1], [3, -8], [-1, 6], [-2, bytes('x')]]);
    return new Map([[1, 3], [3, -257], [-1, bytes('n')], [-2, bytes('e')]]);
}

export class Authenticator {
    constructor({ alg = -7, id = randomBytes(32), handle = randomBytes(32), flags = UP | UV, count = 0 } = {}) {
        Object.assign(this, { alg, id, handle, flags, count });
        const { publicKey, privateKey } = pairs[alg]();
        this.privateKey = privateKey;
        this.cose = coseKey(alg, publicKey);
    }

    clientData(type, { challenge, origin, more = {} }) {
        return Buffer.from(JSON.stringify({ type, challenge: base64url(challenge), origin, crossOrigin: false, ...more }));
    }

    authData({ rp, flags = this.flags, count = this.count, attested, extensions }) {
        const b = Buffer.alloc(5);
        b[0] = flags | (attested ? AT : 0) | (extensions ? ED : 0);
        b.writeUInt32BE(count, 1);
        return Buffer.concat([sha256(rp), b, attested ?? Buffer.alloc(0), extensions ? cbor(extensions) : Buffer.alloc(0)]);
    }

    attested({ id = this.id, cose = this.cose, aaguid = Buffer.alloc(16) } = {}) {
        const length = Buffer.alloc(2);
        length.writeUInt16BE(id.length);
        return Buffer.concat([aaguid, length, id, cbor(cose)]);
    }

    sign(bytes) {
        return sign(this.alg === -8 ? null : 'sha256', bytes, this.privateKey);
    }

    // fmt "none" or "packed" (self attestation), or a statement of its own.
    create(asked) {
        const client = asked.clientData ?? this.clientData(asked.type ?? 'webauthn.create', asked);
        const authData = asked.authData ?? this.authData({ ...asked, attested: asked.attested ?? this.attested(asked) });
        const fmt = asked.fmt ?? 'none';
        const statement = asked.statement ?? (fmt === 'packed'
            ? new Map([['alg', this.alg], ['sig', this.sign(Buffer.concat([authData, sha256(client)]))]])
            : new Map());
        const object = asked.object ?? cbor(new Map([['fmt', fmt], ['attStmt', statement], ['authData', authData]]));
        return this.answer({ clientDataJSON: base64url(client), attestationObject: base64url(object), transports: ['internal'] });
    }

    get(asked) {
        const client = asked.clientData ?? this.clientData(asked.type ?? 'webauthn.get', asked);
        const authData = asked.authData ?? this.authData(asked);
        const signature = asked.signature ?? this.sign(Buffer.concat([authData, sha256(client)]));
        return this.answer({
            clientDataJSON: base64url(client), authenticatorData: base64url(authData),
            signature: base64url(signature), userHandle: base64url(asked.handle ?? this.handle),
        });
    }

    answer(response) {
        const id = base64url(this.id);
        return { id, rawId: id, type: 'public-key', response, clientExtensionResults: { credProps: { rk: true } } };
    }
}
