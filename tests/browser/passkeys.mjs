#!/usr/bin/env node
// Passkeys of a real browser: Chromium's virtual authenticator makes and uses them with our options,
// and our code decides on what it sends.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import path from 'node:path';
import { test, run } from '../lib/tap.mjs';
import { bin } from '../lib/city.mjs';
import { startBrowser } from '../lib/browser.mjs';

const program = path.join(path.dirname(bin), '../../tests/foreign/webauthn_verdict');
const ours = (question) => {
    const run = spawnSync(program, [], { input: `${JSON.stringify(question)}\n`, encoding: 'utf8' });
    assert.equal(run.status, 0, run.stderr);
    return JSON.parse(run.stdout);
};
const server = createServer((_, answer) => answer.setHeader('content-type', 'text/html').end('<!doctype html><title>a</title>'));
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const origin = `http://localhost:${server.address().port}`;
const browser = await startBrowser();
const page = await browser.newPage();
await page.goto(origin);
const cdp = await page.context().newCDPSession(page);
await cdp.send('WebAuthn.enable');

const text = () => randomBytes(32).toString('base64url');
const asked = (more) => ({ rp: 'localhost', origin, challenge: text(), verify: true, user: { handle: text() }, ...more });
const create = (options) => page.evaluate(async (json) => {
    const made = await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(json) });
    return made.toJSON();
}, options);
const get = (options) => page.evaluate(async (json) => {
    const made = await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(json) });
    return made.toJSON();
}, options);

async function withAuthenticator(more, fn) {
    const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
        options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true, ...more },
    });
    try {
        await fn(authenticatorId);
    } finally {
        await cdp.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId });
    }
}

test('a passkey is made and used, with and without naming it; its counter rises', () => withAuthenticator({}, async () => {
    const q = asked({ do: 'options-create', known: [] });
    const made = ours({ ...q, do: 'create', answer: await create(ours(q)) });
    assert.equal(made.ok, true, made.text);
    assert.equal(made.credential.verified, true);
    let kept = made.credential;
    for (const known of [[kept], []]) {
        const ask = { ...asked({ do: 'options-get', known, kept }), user: undefined };
        const answer = await get(ours(ask));
        const now = ours({ ...ask, do: 'get', answer });
        assert.equal(now.ok, true, now.text);
        assert.ok(now.credential.signCount > kept.signCount);
        assert.equal(ours({ ...ask, do: 'get', answer, kept: now.credential }).error, 'conflict');
        assert.equal(ours({ ...ask, do: 'get', answer, challenge: text() }).error, 'unauthenticated');
        assert.equal(ours({ ...ask, do: 'get', answer, origin: 'https://localhost' }).error, 'unauthenticated');
        kept = now.credential;
    }
}));

test('one that its user has already is not made twice', () => withAuthenticator({}, async () => {
    const q = asked({ do: 'options-create', known: [] });
    const made = ours({ ...q, do: 'create', answer: await create(ours(q)) });
    await assert.rejects(create(ours({ ...q, known: [made.credential] })), /InvalidStateError/);
}));

test('a user whom the device has not verified', () => withAuthenticator({}, async (authenticatorId) => {
    const q = asked({ do: 'options-create', known: [] });
    const made = ours({ ...q, do: 'create', answer: await create(ours(q)) });
    await cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
    const ask = asked({ do: 'options-get', known: [made.credential], kept: made.credential, user: undefined, verify: false });
    const answer = await get(ours(ask)).catch(() => null);
    assert.equal(answer, null); // with its verification failing it signs nothing
}));

test('a device that cannot verify its user is used for what does not ask it', () => withAuthenticator({ hasUserVerification: false, isUserVerified: false }, async () => {
    const q = { ...asked({ do: 'options-create', known: [] }), verify: false };
    const answer = await create(ours(q));
    assert.equal(ours({ ...q, do: 'create', answer }).credential.verified, false);
    assert.equal(ours({ ...q, do: 'create', answer, verify: true }).error, 'unauthenticated');
}));

await run(async () => {
    await browser.close();
    server.close();
});
