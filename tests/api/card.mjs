#!/usr/bin/env node
// My Number Cards: certificates made by openssl, its OCSP responder, its CMS; and an emulated card
// behind Debian's virtual reader, read by its unmodified OpenSC. (No server and no store: sqlite only.)
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createSign, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, run, skip } from '../lib/tap.mjs';
import { bin } from '../lib/city.mjs';
import { makePki, openssl, person, startReader } from '../lib/card.mjs';

const program = path.join(path.dirname(bin), '../../tests/foreign/card_verdict');
const folder = mkdtempSync(path.join(tmpdir(), 'marugoto-card-'));
const at = (...names) => path.join(folder, ...names);
const pki = makePki(folder);
const mine = pki.card({ serial: 4096 });
const b64 = (bytes) => Buffer.from(bytes).toString('base64url');

// Without blocking: a responder of this process may be asked.
function ask(question) {
    return new Promise((done, failed) => {
        const child = spawn(program, { stdio: ['pipe', 'pipe', 'pipe'] });
        let out = '', err = '';
        child.stdout.on('data', (text) => { out += text; });
        child.stderr.on('data', (text) => { err += text; });
        child.once('exit', (code) => (code ? failed(new Error(err)) : done({ ...JSON.parse(out), log: err })));
        child.stdin.end(`${JSON.stringify({ folder, ...question })}\n`);
    });
}

async function signedChallenge(card = mine) {
    const challenge = b64(randomBytes(32));
    const { text } = await ask({ do: 'text', challenge });
    return { challenge, text, certificate: b64(card.auth.der), signature: b64(createSign('sha256').update(text).sign(readFileSync(card.auth.key))) };
}
// A responder that is there may be slow on a busy machine: it is asked again.
async function prove(more) {
    for (let tries = 0; ; tries++) {
        const verdict = await ask({ do: 'proof', ...await signedChallenge(), ...more });
        if (tries === 3 || !/cannot be reached/.test(verdict.log)) return verdict;
    }
}

test('what is signed says what it is for', async () => {
    const { text } = await signedChallenge();
    assert.match(text, /^Marugoto: sign in with a card, 1\norigin: https:\/\/id\.city\.example\npurpose: sha-256 [0-9a-f]{64}\nchallenge: [\w-]{43}\n$/);
});

test('a challenge signed with the authentication key, nothing known of the certificate', async () => {
    const verdict = await prove();
    assert.equal(verdict.ok, true, verdict.text);
    assert.deepEqual([verdict.status, verdict.acr, verdict.serial], ['unknown', 2, '1000']);
    assert.deepEqual(verdict.items, {});
    const other = await signedChallenge();
    assert.equal((await prove({ challenge: other.challenge })).error, 'unauthenticated');
    assert.equal((await prove({ certificate: b64(mine.sign.der) })).error, 'unauthenticated');
});

test('a list dropped into the folder', async () => {
    const revoke = (...serials) => {
        const lines = serials.map((s) => `R\t360101000000Z\t260101000000Z\t${s}\tunknown\t/CN=x\n`);
        writeFileSync(at('index.txt'), lines.join(''));
        writeFileSync(at('crlnumber'), '01\n');
        writeFileSync(at('ca.cnf'), `[ca]\ndefault_ca=d\n[d]\ndatabase=${at('index.txt')}\ncrlnumber=${at('crlnumber')}\ndefault_md=sha256\ndefault_crl_days=1\n`);
        openssl('ca', '-config', at('ca.cnf'), '-gencrl', '-keyfile', at('auth-ca.key'), '-cert', at('auth/ca.pem'), '-out', at('auth/all.crl'));
    };
    revoke('07', '08');
    assert.deepEqual([(await prove()).status, (await prove()).acr], ['good', 3]);
    assert.equal((await prove({ later: 2 * 86400 })).status, 'unknown');
    revoke('07', '1000');
    const verdict = await prove();
    assert.equal(verdict.error, 'unauthenticated');
    assert.match(verdict.text, /revoked/);
    rmSync(at('auth/all.crl'));
});

// --- OCSP ---

async function responder(signer, index, fn) {
    writeFileSync(at('ocsp.txt'), index);
    const child = spawn('openssl', ['ocsp', '-index', at('ocsp.txt'), '-port', '0', '-CA', at('auth/ca.pem'), '-rsigner', signer.pem, '-rkey', signer.key, '-nmin', '5'], { stdio: ['ignore', 'pipe', 'pipe'] });
    const port = await new Promise((done, failed) => { // it says where it listens
        let said = '';
        const hear = (text) => {
            said += text;
            const found = /ACCEPT\s+\S*:(\d+)/.exec(said);
            if (found) done(found[1]);
        };
        child.stdout.on('data', hear);
        child.stderr.on('data', hear);
        child.once('exit', () => failed(new Error(said)));
    });
    try {
        await fn(`http://127.0.0.1:${port}/`);
    } finally {
        child.kill('SIGKILL');
    }
}
const usage = ['keyUsage=critical,digitalSignature'];
const ocspUse = [...usage, 'extendedKeyUsage=OCSPSigning'];
const known = 'V\t360101000000Z\t\t1000\tunknown\t/CN=x\n';
const revoked = 'R\t360101000000Z\t260101000000Z\t1000\tunknown\t/CN=x\n';

test('the responder of the authority is believed: good, revoked, not known', async () => {
    const signer = pki.issue('ocsp', 'auth', ocspUse, 50);
    await responder(signer, known, async (ocsp) => {
        const verdict = await prove({ ocsp });
        assert.deepEqual([verdict.ok, verdict.status, verdict.acr], [true, 'good', 3], verdict.log);
    });
    await responder(signer, revoked, async (ocsp) => {
        const verdict = await prove({ ocsp });
        assert.equal(verdict.error, 'unauthenticated');
        assert.match(verdict.text, /revoked/);
    });
    await responder(signer, '', async (ocsp) => {
        const verdict = await prove({ ocsp });
        assert.deepEqual([verdict.ok, verdict.status, verdict.acr], [true, 'unknown', 2]);
        assert.match(verdict.log, /does not know the certificate/);
    });
    await responder({ pem: at('auth/ca.pem'), key: at('auth-ca.key') }, known, async (ocsp) => {
        assert.equal((await prove({ ocsp })).status, 'good'); // the authority itself
    });
});

async function says(ocsp, why, more) {
    const verdict = await prove({ ocsp, ...more });
    assert.deepEqual([verdict.ok, verdict.status, verdict.acr], [true, 'unknown', 2], verdict.text);
    assert.match(verdict.log, why);
}

test('responders that nobody has named say nothing', async () => {
    const others = [pki.issue('plain', 'auth', usage, 51), pki.issue('foreign', 'sign', ocspUse, 52), { pem: at('sign/ca.pem'), key: at('sign-ca.key') }];
    for (const signer of others) {
        await responder(signer, known, (ocsp) => says(ocsp, /not signed by the authority/));
        await responder(signer, revoked, (ocsp) => says(ocsp, /not signed by the authority/));
    }
});

test('answers that are replayed, old, cut, or none say nothing', async () => {
    const signer = pki.issue('ocsp2', 'auth', ocspUse, 53);
    let answer = () => null;
    const proxy = createServer(async (req, res) => {
        const chunks = [];
        for await (const chunk of req) chunks.push(chunk);
        const [status, body, type = 'application/ocsp-response'] = await answer(Buffer.concat(chunks));
        res.writeHead(status, { 'content-type': type }).end(body);
    });
    await new Promise((listening) => proxy.listen(0, '127.0.0.1', listening));
    const here = `http://127.0.0.1:${proxy.address().port}/`;
    await responder(signer, known, async (ocsp) => {
        const forward = async (body) => Buffer.from(await (await fetch(ocsp, { method: 'POST', body, headers: { 'content-type': 'application/ocsp-request' } })).arrayBuffer());
        let first;
        answer = async (body) => [200, first ??= await forward(body)];
        assert.equal((await prove({ ocsp: here })).status, 'good');
        await says(here, /not our nonce/);
        answer = async (body) => [200, (await forward(body)).subarray(0, 100)];
        await says(here, /not well-formed/);
        answer = async (body) => [200, Buffer.from(await forward(body)).map((b, i, all) => (i === all.length - 900 ? b ^ 1 : b))];
        await says(here, /not signed|not well-formed|nonce|another certificate|unknown kind/);
        answer = async (body) => [200, await forward(body), 'text/html'];
        await says(here, /does not answer/);
        answer = async (body) => [200, await forward(body)];
        await says(here, /not of now/, { later: 3600 });
    });
    answer = () => [500, ''];
    await says(here, /does not answer/);
    answer = () => [200, Buffer.from([0x30, 0x03, 0x0a, 0x01, 0x06])]; // unauthorized
    await says(here, /answers with an error/);
    answer = () => [200, Buffer.alloc(200000)];
    await says(here, /cannot be reached/);
    proxy.closeAllConnections();
    await new Promise((closed) => proxy.close(closed));
    await says(here, /cannot be reached/);
});

// --- CMS by openssl ---

const document = Buffer.from('{"consent":"はい"}\n');
function cms(...args) {
    writeFileSync(at('document'), document);
    return openssl('cms', '-sign', '-binary', '-in', at('document'), '-outform', 'DER', ...args);
}
const signed = (bytes, content = document) => ask({ do: 'signed', cms: b64(bytes), content: b64(content) });

test('a document signed by openssl with the signing certificate carries the four items', async () => {
    const verdict = await signed(cms('-signer', mine.sign.pem, '-inkey', mine.sign.key, '-md', 'sha256'));
    assert.equal(verdict.ok, true, verdict.text);
    assert.deepEqual(verdict.items, {
        name: person[0], nameFlags: person[1], gender: 'female', birthDate: '1980-01-02', address: person[4], addressFlags: person[5],
    });
});

test('documents that are not signed so', async () => {
    const by = ['-signer', mine.sign.pem, '-inkey', mine.sign.key];
    const auth = ['-signer', mine.auth.pem, '-inkey', mine.auth.key];
    const good = cms(...by, '-md', 'sha256');
    const refused = async (bytes, error, content) => assert.equal((await signed(bytes, content)).error, error);
    await refused(good, 'unauthenticated', Buffer.from('{"consent":"いいえ"}\n'));
    await refused(cms(...auth, '-md', 'sha256'), 'unauthenticated');
    await refused(cms(...by, '-md', 'sha512'), 'unauthenticated');
    await refused(cms(...by, '-md', 'sha1'), 'unauthenticated');
    await refused(cms(...by, '-md', 'sha256', '-noattr'), 'invalid');
    await refused(cms(...by, '-md', 'sha256', '-nocerts'), 'invalid');
    await refused(cms(...by, '-md', 'sha256', '-nodetach'), 'invalid');
    await refused(cms(...by, ...auth, '-md', 'sha256'), 'invalid');
    await refused(cms(...by, '-md', 'sha256', '-certfile', at('sign/ca.pem')), 'invalid');
    await refused(Buffer.concat([good, Buffer.from([0])]), 'invalid');
    await refused(good.subarray(0, good.length - 1), 'invalid');
    await refused(good.map((b, i) => (i === good.length - 10 ? b ^ 1 : b)), 'unauthenticated');
});

// --- the card itself, read by OpenSC ---

const module = ['/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so', '/usr/lib/aarch64-linux-gnu/opensc-pkcs11.so'].find(existsSync);
let reader = null, why = 'OpenSC is not there';
if (module) reader = await startReader(folder).catch((error) => { why = error.message; return null; });

function tool(name, ...args) { // the card is in this process, so it must not block
    return new Promise((done) => {
        const child = spawn(name, args, { env: reader.env, stdio: ['ignore', 'pipe', 'pipe'] });
        const out = [], err = [];
        child.stdout.on('data', (b) => out.push(b));
        child.stderr.on('data', (b) => err.push(b));
        const late = setTimeout(() => child.kill('SIGKILL'), 120000);
        child.once('close', (code) => {
            clearTimeout(late);
            done({ code, out: Buffer.concat(out), text: `${Buffer.concat(out)}${Buffer.concat(err)}` });
        });
    });
}
async function seen(present) { // by the daemon, which looks now and then
    for (let tries = 0; tries < 200; tries++) {
        if (/Yes/.test((await tool('opensc-tool', '-l')).text) === present) return;
        await new Promise((later) => setTimeout(later, 100));
    }
}
async function withCard(fn) {
    if (!reader) skip(why);
    const inside = await reader.insert(mine);
    try {
        await seen(true);
        await fn(inside.card);
    } finally {
        inside.remove();
        await seen(false);
    }
}

test('OpenSC takes it for a JPKI card and lists what is on it', () => withCard(async () => {
    assert.match((await tool('opensc-tool', '-n')).text, /jpki/i);
    const { text } = await tool('pkcs15-tool', '-D');
    for (const name of [/User Authentication PIN/, /Digital Signature PIN/, /User Authentication Key/, /Digital Signature Key/, /Tries left\s*:\s*3/, /Tries left\s*:\s*5/]) {
        assert.match(text, name);
    }
}));

test('the authentication certificate is read without a PIN, the signing certificate is not', () => withCard(async () => {
    const auth = await tool('pkcs15-tool', '--read-certificate', '01');
    assert.equal(auth.code, 0, auth.text);
    assert.equal(auth.out.toString().trim(), readFileSync(mine.auth.pem, 'utf8').trim());
    assert.notEqual((await tool('pkcs15-tool', '--read-certificate', '02')).code, 0);
}));

test('a challenge is signed by pkcs11-tool and is a proof', () => withCard(async () => {
    const challenge = b64(randomBytes(32));
    const { text } = await ask({ do: 'text', challenge });
    writeFileSync(at('challenge'), text);
    const args = ['--module', module, '--token-label', 'JPKI (User Authentication PIN)', '--sign', '-m', 'SHA256-RSA-PKCS', '--id', '01', '-i', at('challenge'), '-o', at('signature')];
    const wrong = await tool('pkcs11-tool', ...args, '--login', '--pin', '9999');
    assert.notEqual(wrong.code, 0);
    assert.match((await tool('pkcs15-tool', '-D')).text, /Tries left\s*:\s*2/);
    const run = await tool('pkcs11-tool', ...args, '--login', '--pin', '1234');
    assert.equal(run.code, 0, run.text);
    const question = { do: 'proof', challenge, certificate: b64(mine.auth.der), signature: b64(readFileSync(at('signature'))) };
    const verdict = await ask(question);
    assert.equal(verdict.ok, true, verdict.text);
    assert.equal((await ask({ ...question, challenge: b64(randomBytes(32)) })).error, 'unauthenticated');
}));

test('three wrong PINs block it', () => withCard(async (card) => {
    for (let i = 0; i < 3; i++) {
        assert.notEqual((await tool('pkcs11-tool', '--module', module, '--token-label', 'JPKI (User Authentication PIN)', '--login', '--pin', '0000', '-O')).code, 0);
    }
    assert.equal(card.pins['0018'].tries, 0);
    const run = await tool('pkcs11-tool', '--module', module, '--token-label', 'JPKI (User Authentication PIN)', '--sign', '-m', 'SHA256-RSA-PKCS', '--id', '01', '-i', at('challenge'), '--login', '--pin', '1234');
    assert.notEqual(run.code, 0);
}));

test('a document is signed by openssl through the card', () => withCard(async () => {
    const read = await tool('pkcs15-tool', '--read-certificate', '02', '--verify-pin', '--auth-id', '02', '--pin', 'ABC123');
    assert.equal(read.code, 0, read.text);
    writeFileSync(at('sign-read.pem'), read.out.toString().match(/-----BEGIN[\s\S]*?-----END CERTIFICATE-----/)[0]);
    writeFileSync(at('document'), document);
    writeFileSync(at('engine.cnf'), `openssl_conf = o\n[o]\nengines = e\n[e]\npkcs11 = p\n[p]\nengine_id = pkcs11\nMODULE_PATH = ${module}\nPIN = ABC123\ninit = 0\n`);
    reader.env.OPENSSL_CONF = at('engine.cnf');
    const run = await tool('openssl', 'cms', '-sign', '-binary', '-in', at('document'), '-outform', 'DER', '-out', at('cms'), '-md', 'sha256',
        '-signer', at('sign-read.pem'), '-engine', 'pkcs11', '-keyform', 'engine', '-inkey', 'pkcs11:token=JPKI%20%28Digital%20Signature%20PIN%29;id=%02;type=private');
    delete reader.env.OPENSSL_CONF;
    assert.equal(run.code, 0, run.text);
    const verdict = await signed(readFileSync(at('cms')));
    assert.equal(verdict.ok, true, verdict.text);
    assert.equal(verdict.items.name, person[0]);
    assert.equal((await signed(readFileSync(at('cms')), Buffer.from('x'))).error, 'unauthenticated');
}));

await run(async () => {
    await reader?.stop();
    rmSync(folder, { recursive: true, force: true });
});
