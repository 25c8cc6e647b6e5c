#!/usr/bin/env node
// The OpenID Provider in several processes on one PostgreSQL: one set of keys and nonces; what counts once counts
// once in all of them; what one ends is ended in the others; sign-outs are told when the process that should dies.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as jose from 'jose';
import { eventually, startCity } from '../lib/city.mjs';
import { browser, form, makeClient, makeKey, proof, random, sha256, startCityWithPeople } from '../lib/oidc.mjs';
import { run, test } from '../lib/tap.mjs';

if (!process.env.MARUGOTO_TEST_PG) {
    console.log('1..0 # SKIP needs PostgreSQL');
    process.exit(0);
}
const issuer = 'https://id.city.example';
const args = ['--allow-private', `--oidc.issuer=${issuer}`, '--oidc.sweep_ms=200'];
const data = mkdtempSync(path.join(tmpdir(), 'marugoto-oidc-')); // with the keys, which both need
const first = await startCityWithPeople([1], { args, data });
const second = await startCity({ args, data, store: first.store });
for (const city of [first, second]) city.issuer = issuer;
const key = await makeKey(), dpopKey = await makeKey();
const web = { redirect_uris: ['http://127.0.0.1/back'], sandbox: true, scope: 'openid offline_access', grant_types: ['authorization_code', 'refresh_token', 'client_credentials'], consent: 'none' };
const rp = await makeClient(first, { ...web, token_endpoint_auth_method: 'client_secret_post' });
const server = await makeClient(second, { grant_types: [], introspection: true });
const active = async (city, token) => (await form(city, '/oidc/introspect', { token }, server.basic())).json.active;
const [person] = first.people;
let turn = 0;
async function code(city) {
    const verifier = random(32);
    const end = await browser(city, person).go(`/oidc/authorize?${new URLSearchParams({ client_id: rp.id, response_type: 'code', redirect_uri: 'http://127.0.0.1/back', scope: 'openid offline_access', code_challenge: sha256(verifier), code_challenge_method: 'S256' })}`);
    return { grant_type: 'authorization_code', code: end.params.get('code'), redirect_uri: 'http://127.0.0.1/back', code_verifier: verifier, client_id: rp.id, client_secret: rp.secret };
}

test('both have the same keys', async () => {
    assert.equal((await first.get('/oidc/jwks')).text, (await second.get('/oidc/jwks')).text);
});

test('a client, a code and a token of one are known to the other at once', async () => {
    for (const [x, y] of [[first, second], [second, first]]) {
        const res = await form(y, '/oidc/token', await code(x));
        assert.equal(res.status, 200, res.text);
        assert.equal(await active(x, res.json.access_token), true);
        assert.equal((await form(x, '/oidc/revoke', { token: res.json.refresh_token, client_id: rp.id, client_secret: rp.secret })).status, 200);
        assert.equal(await active(y, res.json.access_token), false);
    }
});

test('a code that is redeemed in both at once gives nothing that stays good', async () => {
    for (let i = 0; i < 5; i++) {
        const params = await code(first);
        const all = await Promise.all([first, second, first, second].map((city) => form(city, '/oidc/token', params)));
        const won = all.filter((res) => res.status === 200);
        assert.ok(won.length <= 1, `${won.length}`);
        for (const { json } of won) assert.equal(await active(second, json.access_token), false);
    }
});

test('an assertion and a proof count once in all; a nonce of one is good in the other', async () => {
    const bound = await makeClient(first, { grant_types: ['client_credentials'], dpop_bound_access_tokens: true }, { key, dpopKey });
    const url = `${issuer}/oidc/token`;
    const { headers } = await form(first, '/oidc/token', { grant_type: 'client_credentials', ...(await bound.auth()) }, { DPoP: await proof(dpopKey, { htu: url }) });
    const shown = await proof(dpopKey, { htu: url, nonce: headers.get('dpop-nonce') }), assertion = await bound.auth();
    assert.equal((await form(second, '/oidc/token', { grant_type: 'client_credentials', ...assertion }, { DPoP: shown })).status, 200);
    const replay = await form(first, '/oidc/token', { grant_type: 'client_credentials', ...assertion }, { DPoP: await proof(dpopKey, { htu: url, nonce: headers.get('dpop-nonce') }) });
    assert.equal(replay.json.error, 'invalid_client');
    const again = await form(first, '/oidc/token', { grant_type: 'client_credentials', ...(await bound.auth()) }, { DPoP: shown });
    assert.equal(again.json.error, 'invalid_dpop_proof');
});

test('kill -9 of one: a sign-out is told by the other', async () => {
    const heard = [];
    const listener = createServer((req, res) => {
        let text = '';
        req.on('data', (part) => { text += part; });
        req.on('end', () => {
            heard.push(new URLSearchParams(text).get('logout_token'));
            res.writeHead(turn++ ? 200 : 503).end();
        });
    });
    const port = await new Promise((done) => listener.listen(0, '127.0.0.1', () => done(listener.address().port)));
    const change = await first.put(`/trust/v1/clients/${rp.id}`, { ...web, client_name: 'A test', token_endpoint_auth_method: 'client_secret_post', backchannel_logout_uri: `http://127.0.0.1:${port}/` });
    assert.equal(change.status, 200, change.text);
    const { json } = await form(first, '/oidc/token', await code(first));
    await browser(second, person).go(`/oidc/logout?id_token_hint=${json.id_token}`);
    await first.kill();
    await eventually(() => heard.length >= 2, 90000);
    assert.equal(jose.decodeJwt(heard.at(-1)).aud, rp.id);
    assert.equal(jose.decodeJwt(heard.at(-1)).iss, issuer);
    listener.closeAllConnections();
    listener.close();
});

await run(async () => {
    await second.stop();
    rmSync(data, { recursive: true, force: true });
});
