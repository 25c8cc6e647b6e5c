#!/usr/bin/env node
// Passkeys: our verdict beside that of @simplewebauthn/server on the same bytes, and on every answer
// with one bit turned over. We may be stricter, for reasons that are listed; never laxer.
// (No server and no store: sqlite only.)
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import path from 'node:path';
import { verifyAuthenticationResponse, verifyRegistrationResponse } from '@simplewebauthn/server';
import { test, run } from '../lib/tap.mjs';
import { bin } from '../lib/city.mjs';
import { Authenticator, AT, BE, BS, UP, UV, base64url, cbor } from '../lib/authenticator.mjs';

const program = path.join(path.dirname(bin), '../../tests/foreign/webauthn_verdict');
const rp = 'city.example', origin = 'https://id.city.example';
const challenge = randomBytes(32);
const here = { rp, origin, challenge };
const algorithms = [-7, -8, -257];

function ours(questions) {
    const run = spawnSync(program, [], {
        input: questions.map((q) => `${JSON.stringify(q)}\n`).join(''), encoding: 'utf8', maxBuffer: 1 << 28,
    });
    assert.equal(run.status, 0, run.stderr);
    return run.stdout.trim().split('\n').map((line) => JSON.parse(line));
}

const asked = (more) => ({ rp, origin, challenge: base64url(challenge), verify: true, ...more });
const create = (key, answer, more) => asked({ do: 'create', user: { handle: base64url(key.handle) }, answer, ...more });
const kept = (key, more) => ({
    id: base64url(key.id), publicKey: base64url(cbor(key.cose)), handle: base64url(key.handle),
    signCount: 0, backupEligible: Boolean(key.flags & BE), ...more,
});
const get = (key, answer, more = {}) => asked({ do: 'get', kept: kept(key, more.kept), known: [kept(key)], answer, ...more.asked });

async function theirs(question) {
    const common = { response: question.answer, expectedChallenge: question.challenge, expectedOrigin: question.origin, expectedRPID: question.rp, requireUserVerification: question.verify };
    try {
        if (question.do === 'create') return (await verifyRegistrationResponse(common)).verified;
        const { id, publicKey, signCount } = question.kept;
        return (await verifyAuthenticationResponse({ ...common, credential: { id, publicKey: Buffer.from(publicKey, 'base64url'), counter: signCount } })).verified;
    } catch {
        return false;
    }
}

// One question, both verdicts; returns ours.
async function both(question, expected) {
    const [verdict] = ours([question]);
    assert.equal(verdict.ok, expected, JSON.stringify(verdict));
    assert.equal(await theirs(question), expected, 'theirs');
    return verdict;
}

// We refuse, they need not: the reason is in the name of the test.
function strict(question, error) {
    const [verdict] = ours([question]);
    assert.equal(verdict.ok, false);
    assert.equal(verdict.error, error, verdict.text);
}

for (const alg of algorithms) {
    test(`algorithm ${alg}: created, asserted, counted`, async () => {
        const key = new Authenticator({ alg, count: 3 });
        const made = await both(create(key, key.create(here)), true);
        assert.equal(made.credential.publicKey, base64url(cbor(key.cose)));
        assert.equal(made.credential.signCount, 3);
        assert.equal(made.credential.verified, true);
        assert.equal(made.credential.transports, 'internal');
        await both(create(key, key.create({ ...here, fmt: 'packed' })), true);
        const now = await both(get(key, key.get(here), { kept: { signCount: 2 } }), true);
        assert.equal(now.credential.signCount, 3);
    });
}

test('a counter that stands still or goes back is a conflict; one that is always 0 is none', async () => {
    const key = new Authenticator({ count: 3 });
    for (const signCount of [3, 4, 0xffffffff]) {
        const verdict = await both(get(key, key.get(here), { kept: { signCount } }), false);
        assert.equal(verdict.error, 'conflict');
    }
    await both(get(key, key.get({ ...here, count: 0 }), { kept: { signCount: 0 } }), true);
    await both(get(key, key.get({ ...here, count: 0 }), { kept: { signCount: 1 } }), false);
});

test('another challenge, origin, relying party, type or key proves nothing', async () => {
    const key = new Authenticator(), other = new Authenticator({ id: key.id });
    const wrong = [
        { challenge: randomBytes(32) }, { challenge: Buffer.alloc(0) }, { origin: 'https://city.example' },
        { origin: `${origin}.evil.example` }, { origin: 'http://id.city.example' }, { origin: `${origin}/` }, { rp: 'evil.example' },
    ];
    for (const change of wrong) {
        assert.equal((await both(get(key, key.get({ ...here, ...change })), false)).error, 'unauthenticated');
        assert.equal((await both(create(key, key.create({ ...here, ...change })), false)).error, 'unauthenticated');
    }
    await both(get(key, key.get({ ...here, type: 'webauthn.create' })), false);
    await both(create(key, key.create({ ...here, type: 'webauthn.get' })), false);
    await both(get(key, key.get({ ...here, type: 'payment.get' })), false);
    assert.equal((await both(get(key, other.get(here)), false)).error, 'unauthenticated');
});

test('presence always, verification when it was asked for', async () => {
    const key = new Authenticator();
    for (const flags of [0, UV, UP]) {
        await both(get(key, key.get({ ...here, flags })), false);
        await both(create(key, key.create({ ...here, flags })), false);
    }
    const [verdict] = ours([{ ...get(key, key.get({ ...here, flags: UP })), verify: false }]);
    assert.equal(verdict.ok, true);
    assert.equal(verdict.credential.verified, false);
});

test('backup: flags that contradict each other, or what was kept', async () => {
    const key = new Authenticator({ flags: UP | UV | BE });
    const made = await both(create(key, key.create(here)), true);
    assert.deepEqual([made.credential.backupEligible, made.credential.backedUp], [true, false]);
    const now = await both(get(key, key.get({ ...here, flags: UP | UV | BE | BS })), true);
    assert.equal(now.credential.backedUp, true);
    await both(create(key, key.create({ ...here, flags: UP | UV | BS })), false);
    strict(get(key, key.get({ ...here, flags: UP | UV })), 'unauthenticated');
});

test('the credential of another user, or one that was not asked for', () => {
    const key = new Authenticator(), other = new Authenticator();
    strict(get(key, key.get({ ...here, handle: other.handle })), 'unauthenticated');
    strict(get(key, other.get(here)), 'unauthenticated');
    strict(get(key, key.get(here), { asked: { known: [kept(other)] } }), 'unauthenticated');
    strict(get(key, key.get(here), { asked: { user: { handle: base64url(other.handle) } } }), 'unauthenticated');
    strict(create(key, key.create(here), { known: [kept(key)] }), 'unauthenticated');
    // without a list the authenticator must name the user
    const silent = key.get(here);
    delete silent.response.userHandle;
    strict(get(key, silent, { asked: { known: [] } }), 'unauthenticated');
    assert.equal(ours([get(key, silent)])[0].ok, true);
    assert.equal(ours([get(key, key.get(here), { asked: { known: [] } })])[0].ok, true);
});

test('pages in frames, token binding, names twice', async () => {
    const key = new Authenticator();
    const client = (more) => ({ ...here, clientData: Buffer.from(`{"type":"webauthn.get","challenge":"${base64url(challenge)}","origin":"${origin}"${more}}`) });
    await both(get(key, key.get(client(''))), true);
    await both(get(key, key.get(client(',"crossOrigin":false,"new_keys_may_be_added_here":"x"'))), true);
    strict(get(key, key.get(client(',"crossOrigin":true'))), 'unauthenticated');
    strict(get(key, key.get(client(',"topOrigin":"https://evil.example"'))), 'unauthenticated');
    strict(get(key, key.get(client(',"crossOrigin":"false"'))), 'invalid');
    strict(get(key, key.get(client(',"tokenBinding":{"status":"present","id":"x"}'))), 'unauthenticated');
    await both(get(key, key.get(client(',"tokenBinding":{"status":"supported"}'))), true);
    strict(get(key, key.get(client(`,"origin":"${origin}"`))), 'invalid');
});

test('attestation: only none, and packed by the credential itself', async () => {
    const key = new Authenticator(), other = new Authenticator();
    await both(create(key, key.create({ ...here, statement: new Map([['x', 1]]) })), false);
    await both(create(key, key.create({ ...here, fmt: 'packed', statement: new Map([['alg', -7], ['sig', other.sign(Buffer.from('x'))]]) })), false);
    await both(create(key, key.create({ ...here, fmt: 'packed', statement: new Map([['alg', -257], ['sig', Buffer.alloc(8)]]) })), false);
    strict(create(key, key.create({ ...here, fmt: 'packed', statement: new Map([['alg', -7], ['sig', Buffer.alloc(8)], ['x5c', [Buffer.alloc(4)]]]) })), 'unsupported');
    for (const fmt of ['tpm', 'android-key', 'android-safetynet', 'apple', 'fido-u2f', 'compound', 'None', '']) {
        strict(create(key, key.create({ ...here, fmt })), 'unsupported');
    }
});

test('keys: other algorithms, curves, members and forms', async () => {
    const key = new Authenticator();
    const made = (cose) => create(key, key.create({ ...here, cose }));
    const [x, y] = [key.cose.get(-2), key.cose.get(-3)];
    const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' });
    const cases = [
        [new Map([[1, 2], [3, -35], [-1, 2], [-2, x], [-3, y]]), 'unsupported'],
        [new Map([[1, 2], [3, -7], [-1, 2], [-2, x], [-3, y]]), 'invalid'], // P-384
        [new Map([[1, 2], [3, -7], [-1, 1], [-2, x]]), 'invalid'],
        [new Map([[1, 2], [3, -7], [-1, 1], [-2, x], [-3, true]]), 'invalid'], // compressed
        [new Map([[1, 2], [3, -7], [-1, 1], [-2, x], [-3, x]]), 'invalid'], // no point
        [new Map([[1, 2], [3, -7], [-1, 1], [-2, x.subarray(1)], [-3, y]]), 'invalid'],
        [new Map([[1, 2], [2, Buffer.from('kid')], [3, -7], [-1, 1], [-2, x], [-3, y]]), 'invalid'],
        [new Map([[1, 2], [-1, 1], [-2, x], [-3, y]]), 'unsupported'],
        [new Map([[1, 1], [3, -7], [-1, 1], [-2, x], [-3, y]]), 'invalid'],
        [new Map([[1, 4], [3, 5], [-1, Buffer.alloc(32)]]), 'unsupported'], // HMAC
        [new Map([[1, 3], [3, -257], [-1, Buffer.from(small.n, 'base64url')], [-2, Buffer.from(small.e, 'base64url')]]), 'invalid'],
    ];
    for (const [cose, error] of cases) strict(made(cose), error);
});

test('CBOR that is not canonical, or goes on', () => {
    const key = new Authenticator();
    const authData = key.authData({ rp, attested: key.attested() });
    const object = (map) => create(key, key.create({ ...here, object: cbor(map) }));
    const good = new Map([['fmt', 'none'], ['attStmt', new Map()], ['authData', authData]]);
    assert.equal(ours([object(good)])[0].ok, true);
    strict(object(new Map([...good].reverse())), 'invalid');
    strict(object(new Map([...good].slice(1))), 'invalid');
    strict(object([good]), 'invalid');
    strict(create(key, key.create({ ...here, object: Buffer.concat([cbor(good), Buffer.from([0])]) })), 'invalid');
    for (const more of [Buffer.from([0]), cbor(new Map())]) {
        strict(create(key, key.create({ ...here, authData: Buffer.concat([authData, more]) })), 'invalid');
    }
    const extended = key.authData({ rp, attested: key.attested(), extensions: new Map([['credProtect', 2]]) });
    assert.equal(ours([create(key, key.create({ ...here, authData: extended }))])[0].ok, true);
    strict(get(key, key.get({ ...here, authData: authData })), 'invalid'); // a credential in an assertion
    strict(get(key, key.get({ ...here, authData: Buffer.alloc(36) })), 'invalid');
    strict(get(key, key.get({ ...here, flags: UP | UV | AT })), 'invalid');
});

test('ids: one that differs, is too long, or is not base64url', () => {
    const key = new Authenticator();
    const good = key.create(here);
    for (const change of [{ id: base64url(randomBytes(32)) }, { rawId: base64url(randomBytes(32)) }, { id: '!' }, { type: 'password' }, { response: {} }, { response: null }, { id: undefined }]) {
        strict(create(key, { ...good, ...change }), 'invalid');
    }
    const other = new Authenticator();
    strict(create(key, { ...good, id: base64url(other.id), rawId: base64url(other.id) }), 'invalid');
    const long = new Authenticator({ id: randomBytes(1024) });
    strict(create(long, long.create(here)), 'invalid');
    const longest = new Authenticator({ id: randomBytes(1023) });
    assert.equal(ours([create(longest, longest.create(here))])[0].ok, true);
});

// Every bit that we let through must be one that they let through too.
for (const [name, fmt] of [['none', 'none'], ['self attestation', 'packed']]) {
    test(`created (${name}), one bit turned over: never laxer`, async () => {
        const key = new Authenticator({ alg: fmt === 'none' ? -7 : -8 });
        const good = key.create({ ...here, fmt });
        await compare(good, ['attestationObject', 'clientDataJSON'], (answer) => create(key, answer));
    });
}
for (const alg of algorithms) {
    test(`asserted (${alg}), one bit turned over: never laxer, and nothing holds`, async () => {
        const key = new Authenticator({ alg });
        const taken = await compare(key.get(here), ['authenticatorData', 'clientDataJSON', 'signature'], (answer) => get(key, answer));
        assert.equal(taken, 0);
    });
}

async function compare(good, parts, question) {
    const questions = [];
    for (const part of parts) {
        const bytes = Buffer.from(good.response[part], 'base64url');
        for (let i = 0; i < bytes.length * 8; i += 3) {
            const turned = Buffer.from(bytes);
            turned[i >> 3] ^= 1 << (i & 7);
            questions.push(question({ ...good, response: { ...good.response, [part]: base64url(turned) } }));
        }
        for (let n = 0; n < bytes.length; n += 7) {
            questions.push(question({ ...good, response: { ...good.response, [part]: base64url(bytes.subarray(0, n)) } }));
        }
    }
    const verdicts = ours(questions);
    let taken = 0;
    for (const [i, verdict] of verdicts.entries()) {
        if (!verdict.ok) continue;
        taken++;
        assert.equal(await theirs(questions[i]), true, JSON.stringify(questions[i]));
    }
    assert.ok(taken < questions.length / 2);
    return taken;
}

test('options are what the library makes of the same wishes, and hold nothing that it does not know', () => {
    const key = new Authenticator();
    const [made, got] = ours([
        asked({ do: 'options-create', user: { handle: base64url(key.handle) }, known: [{ ...kept(key), transports: 'internal hybrid' }] }),
        asked({ do: 'options-get', known: [kept(key)] }),
    ]);
    assert.deepEqual(made.rp, { id: rp, name: 'City' });
    assert.deepEqual(made.user, { id: base64url(key.handle), name: 'hanako', displayName: 'Hanako' });
    assert.deepEqual(made.pubKeyCredParams.map((p) => p.alg), [-8, -7, -257]);
    assert.deepEqual(made.excludeCredentials, [{ type: 'public-key', id: base64url(key.id), transports: ['internal', 'hybrid'] }]);
    assert.deepEqual(made.authenticatorSelection, { residentKey: 'required', requireResidentKey: true, userVerification: 'required' });
    assert.equal(made.attestation, 'none');
    assert.equal(made.challenge, base64url(challenge));
    assert.deepEqual(got, { challenge: base64url(challenge), timeout: 120000, rpId: rp, allowCredentials: [{ type: 'public-key', id: base64url(key.id) }], userVerification: 'required' });
});

await run();
