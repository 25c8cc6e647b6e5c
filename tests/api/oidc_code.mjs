#!/usr/bin/env node
// The OpenID Provider with people: authorization codes, their tokens, refresh, UserInfo, step-up, sign-out. The
// people are signed in already; the pages where they do that have tests of their own. Names of tests follow the
// plans of the OpenID conformance suite where they have such a test; nothing here is certified.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createServer } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as jose from 'jose';
import * as client from 'openid-client';
import { test, run } from '../lib/tap.mjs';
import { eventually, startCity } from '../lib/city.mjs';
import { browser, form, makeClient, makeKey, proof, random, sha256, startCityWithPeople } from '../lib/oidc.mjs';

const AAL1 = 1, AAL2 = 4 | 16;
const folder = mkdtempSync(path.join(tmpdir(), 'marugoto-oidc-'));
const args = ['--allow-private', '--oidc.sweep_ms=200'];
let city = await startCityWithPeople([AAL1, AAL2, AAL1, AAL2, AAL1, AAL1, `${AAL2}+operator`, `${AAL1}+operator`], { data: folder, args });
const [weak, strong, leaver, second, mover, typist, staff, weakStaff] = city.people;
const key = await makeKey(), dpopKey = await makeKey(), otherKey = await makeKey();
const back = 'http://127.0.0.1/back';
const web = { redirect_uris: [back], sandbox: true, scope: 'openid offline_access api', grant_types: ['authorization_code', 'refresh_token'], consent: 'none', token_endpoint_auth_method: 'client_secret_post' };
const basic = await makeClient(city, web);
const open = await makeClient(city, { ...web, token_endpoint_auth_method: 'none' });
const fapiMetadata = { ...web, scope: 'openid profile email address phone offline_access', profile: 'fapi2', dpop_bound_access_tokens: true, token_endpoint_auth_method: undefined };
const fapi = await makeClient(city, fapiMetadata, { key, dpopKey });
const server = await makeClient(city, { grant_types: [], introspection: true });

const active = async (token) => (await form(city, '/oidc/introspect', { token }, server.basic())).json.active;
const fails = (res, status, error) => {
    assert.equal(res.status, status, res.text);
    assert.equal(res.json?.error, error, res.text);
};
const pkce = () => {
    const verifier = random(32);
    return { verifier, code_challenge: sha256(verifier), code_challenge_method: 'S256' };
};
const query = (params) => new URLSearchParams(Object.entries(params).filter(([, v]) => v !== undefined)).toString();
const request = (rp, over = {}) => {
    const { verifier, ...challenge } = pkce();
    return { verifier, params: { client_id: rp.id, response_type: 'code', redirect_uri: back, scope: 'openid', state: random(), nonce: random(), ...challenge, ...over } };
};
// To the end of the authorization endpoint.
async function authorize(rp, person, over = {}) {
    const { verifier, params } = request(rp, over);
    const end = await browser(city, person).go(`/oidc/authorize?${query(params)}`);
    return { verifier, sent: params, end, code: end.params?.get('code'), error: end.params?.get('error') };
}
const redeem = (rp, { code, verifier }, over = {}) => rp.token({ grant_type: 'authorization_code', code, redirect_uri: back, code_verifier: verifier, ...over });
async function signIn(rp, person, over = {}) {
    const got = await authorize(rp, person, over);
    assert.ok(got.code, `${got.end.status} ${got.end.url} ${got.end.text.slice(0, 300)}`);
    const res = await redeem(rp, got);
    assert.equal(res.status, 200, res.text);
    return { ...got, ...res.json };
}
const push = (rp, params) => rp.call('/oidc/par', params);

test('oidcc-basic: code, state, iss, ID token with nonce, at_hash, auth_time, acr, amr, sid', async () => {
    const { sent, end, id_token: id, access_token: access, refresh_token: refresh } = await signIn(basic, strong, { scope: 'openid offline_access' });
    assert.equal(end.status, 303);
    assert.equal(end.params.get('state'), sent.state);
    assert.equal(end.params.get('iss'), city.url);
    assert.ok(refresh);
    const jwks = jose.createRemoteJWKSet(new URL(`${city.url}/oidc/jwks`));
    const { payload } = await jose.jwtVerify(id, jwks, { issuer: city.url, audience: basic.id, algorithms: ['ES256'] });
    assert.equal(payload.nonce, sent.nonce);
    assert.equal(payload.at_hash, Buffer.from(sha256(access), 'base64url').subarray(0, 16).toString('base64url'));
    assert.equal(payload.acr, 'aal2');
    assert.deepEqual(payload.amr, ['swk', 'user']);
    assert.ok(payload.auth_time <= payload.iat && payload.sid && payload.exp > payload.iat);
    const info = await basic.resource('/oidc/userinfo', access);
    assert.deepEqual(info.json, { sub: payload.sub });
    assert.equal((await basic.resource('/oidc/userinfo', access, { method: 'POST' })).status, 200);
});

test('subjects are pairwise: other sectors know other names, one sector one name', async () => {
    const sub = async (rp, person) => jose.decodeJwt((await signIn(rp, person)).id_token).sub;
    const same = await sub(basic, strong);
    assert.equal(await sub(basic, strong), same);
    assert.equal(await sub(open, strong), same); // 127.0.0.1, both
    assert.notEqual(await sub(basic, weak), same);
    const far = await makeClient(city, { ...web, sector_identifier: 'far.example' });
    assert.notEqual(await sub(far, strong), same);
});

test('fapi2-security-profile-final: openid-client, PAR + PKCE + DPoP + private_key_jwt, UserInfo, introspection, refresh', async () => {
    const config = await client.discovery(new URL(city.url), fapi.id, { use_mtls_endpoint_aliases: false }, client.PrivateKeyJwt({ key: key.privateKey, kid: key.kid }), { execute: [client.allowInsecureRequests] });
    const dpop = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'));
    const verifier = client.randomPKCECodeVerifier(), state = random(), nonce = random();
    const url = await client.buildAuthorizationUrlWithPAR(config, {
        redirect_uri: back, scope: 'openid profile email address phone offline_access', code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', state, nonce,
    }, { DPoP: dpop });
    const end = await browser(city, strong).go(url.href);
    assert.equal(end.status, 303, end.text);
    const tokens = await client.authorizationCodeGrant(config, end.url, { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true }, undefined, { DPoP: dpop });
    assert.equal(tokens.token_type.toLowerCase(), 'dpop');
    const info = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub, { DPoP: dpop });
    assert.equal(info.name, '試験 花子');
    assert.deepEqual([info.birthdate, info.gender, info.email, info.email_verified, info.ial], ['1980-01-02', 'female', 'hanako@example.jp', true, 'desk']);
    assert.equal(info.address.country, 'JP');
    assert.ok(info['name#ja-Kana-JP'] && info.phone_number);
    const about = await client.tokenIntrospection(config, tokens.access_token);
    assert.equal(about.active, true);
    assert.ok(about.cnf.jkt);
    const more = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP: dpop });
    assert.equal(more.refresh_token, undefined); // bound to the client's key: no turn needed
    const again = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP: dpop });
    assert.ok(again.access_token);
    await client.tokenRevocation(config, tokens.refresh_token);
    assert.equal((await client.tokenIntrospection(config, again.access_token)).active, false);
});

test('fapi2-security-profile-final-ensure-request-without-par-fails, and other ways around it', async () => {
    const direct = await authorize(fapi, strong);
    assert.equal(direct.error, 'invalid_request');
    assert.equal(direct.end.params.get('iss'), city.url);
    const { params } = request(fapi);
    const { json: pushed, status } = await push(fapi, params);
    assert.equal(status, 201);
    assert.match(pushed.request_uri, /^urn:ietf:params:oauth:request_uri:/);
    const other = await browser(city, strong).go(`/oidc/authorize?${query({ client_id: basic.id, request_uri: pushed.request_uri })}`);
    assert.equal(other.status, 400); // pushed by another client
    for (const uri of ['urn:ietf:params:oauth:request_uri:nonsense', 'https://127.0.0.1/request', 'file:///etc/passwd'])
        assert.equal((await browser(city, strong).go(`/oidc/authorize?${query({ client_id: fapi.id, request_uri: uri })}`)).status, 400);
    const first = await browser(city, strong).go(`/oidc/authorize?${query({ client_id: fapi.id, request_uri: pushed.request_uri })}`);
    assert.ok(first.params.get('code'));
    const twice = await browser(city, strong).go(`/oidc/authorize?${query({ client_id: fapi.id, request_uri: pushed.request_uri })}`);
    assert.equal(twice.status, 400); // answered already
    fails(await push(fapi, { ...params, request_uri: pushed.request_uri }), 400, 'invalid_request');
    fails(await push(fapi, { ...params, redirect_uri: 'https://evil.example/' }), 400, 'invalid_request');
    fails(await push(fapi, { ...params, code_challenge: undefined }), 400, 'invalid_request');
    fails(await push(fapi, { ...params, dpop_jkt: sha256('x') }), 400, 'invalid_dpop_proof');
    fails(await form(city, '/oidc/par', params), 401, 'invalid_client');
});

test('a code pushed with a key is redeemed with that key only', async () => {
    const { params, verifier } = request(fapi);
    const { json } = await push(fapi, params);
    const end = await browser(city, strong).go(`/oidc/authorize?${query({ client_id: fapi.id, request_uri: json.request_uri })}`);
    const code = end.params.get('code');
    const thief = { ...fapi, dpopKey: otherKey };
    const headers = { DPoP: await proof(otherKey, { htu: `${city.url}/oidc/token`, nonce: fapi.nonce }) };
    fails(await form(city, '/oidc/token', { grant_type: 'authorization_code', code, redirect_uri: back, code_verifier: verifier, ...(await thief.auth()) }, headers), 400, 'invalid_grant');
    fails(await fapi.token({ grant_type: 'authorization_code', code, redirect_uri: back, code_verifier: verifier }, { dpop: false }), 400, 'invalid_grant');
    assert.equal((await redeem(fapi, { code, verifier })).status, 200);
});

test('oidcc-redirect-uri: only exactly what is registered, and nothing is sent elsewhere', async () => {
    const registered = await makeClient(city, { ...web, sandbox: false, redirect_uris: ['https://app.example/back'], sector_identifier: 'app.example' });
    const bad = ['https://app.example/back/', 'https://app.example/back?x=1', 'https://app.example/back#f', 'https://app.example/Back', 'https://app.example/ba%63k',
        'https://app.example.evil.example/back', 'https://evil.example/https://app.example/back', 'https://app.example@evil.example/back', 'https://app.example/back/../other',
        'http://app.example/back', '//app.example/back', 'javascript:alert(1)', 'https://app.example:8443/back', 'https://[::1]/back', ''];
    for (const uri of bad) {
        const { end } = await authorize(registered, strong, { redirect_uri: uri });
        assert.equal(end.status, 400, uri);
        assert.equal(end.headers.get('location'), null);
    }
    const none = await authorize(registered, strong, { redirect_uri: undefined });
    assert.equal(none.end.status, 400);
    const port = await authorize(basic, strong, { redirect_uri: 'http://127.0.0.1:49152/back' });
    assert.equal(port.end.url.port, '49152');
    assert.ok(port.code);
    for (const uri of ['http://127.0.0.1:49152/other', 'http://localhost:49152/back', 'http://127.0.0.1:1@evil.example/back', 'http://127.0.0.1:99999/back'])
        assert.equal((await authorize(basic, strong, { redirect_uri: uri })).end.status, 400, uri);
    assert.equal((await authorize({ id: 'nobody' }, strong)).end.status, 400);
});

test('oidcc-codereuse: a code is used once, and its replay ends all that it gave', async () => {
    const got = await authorize(basic, strong, { scope: 'openid offline_access' });
    const { json } = await redeem(basic, got);
    assert.equal(await active(json.access_token), true);
    fails(await redeem(basic, got), 400, 'invalid_grant');
    assert.equal(await active(json.access_token), false);
    fails(await basic.token({ grant_type: 'refresh_token', refresh_token: json.refresh_token }), 400, 'invalid_grant');
});

test('two redeem a code at once: not both, and nothing stays good', async () => {
    const got = await authorize(basic, strong);
    const both = await Promise.all([...Array(8)].map(() => redeem(basic, got)));
    const won = both.filter((res) => res.status === 200);
    assert.ok(won.length <= 1, `${won.length}`);
    for (const { json } of won) assert.equal(await active(json.access_token), false);
});

test('a code is for its client, its redirect_uri and its verifier', async () => {
    const got = await authorize(basic, strong);
    const stranger = await makeClient(city, web);
    fails(await redeem(stranger, got), 400, 'invalid_grant');
    fails(await redeem(basic, got, { redirect_uri: 'http://127.0.0.1:1/back' }), 400, 'invalid_grant');
    fails(await redeem(basic, got, { redirect_uri: undefined }), 400, 'invalid_grant');
    for (const bad of [undefined, 'x', got.sent.code_challenge, `${got.verifier}x`, random(32)])
        fails(await redeem(basic, got, { code_verifier: bad }), 400, 'invalid_grant');
    fails(await redeem(basic, { ...got, code: random(32) }), 400, 'invalid_grant');
    assert.equal((await redeem(basic, got)).status, 200);
});

test('PKCE: absent, plain, malformed', async () => {
    for (const over of [{ code_challenge: undefined }, { code_challenge_method: 'plain' }, { code_challenge_method: undefined }, { code_challenge: 'short' }, { code_challenge: `${sha256('x')}=` }])
        assert.equal((await authorize(open, strong, over)).error, 'invalid_request', JSON.stringify(over));
});

test('requests that cannot be are told to the client, with state and iss', async () => {
    const bad = [
        [{ response_type: 'token' }, 'unsupported_response_type'], [{ response_type: 'code id_token' }, 'unsupported_response_type'], [{ response_type: undefined }, 'invalid_request'],
        [{ response_mode: 'fragment' }, 'invalid_request'], [{ request: 'x.y.z' }, 'request_not_supported'], [{ prompt: 'none login' }, 'invalid_request'], [{ prompt: 'x' }, 'invalid_request'],
        [{ max_age: 'x' }, 'invalid_request'], [{ max_age: '-1' }, 'invalid_request'], [{ scope: 'profile' }, 'invalid_scope'], [{ scope: 'openid"' }, 'invalid_scope'],
        [{ claims: '{' }, 'invalid_request'], [{ claims: '[]' }, 'invalid_request'], [{ claims: '{"userinfo":{},"userinfo":{}}' }, 'invalid_request'], [{ resource: 'https://x.example' }, 'invalid_target'],
        [{ authorization_details: '[{"type":"x"}]' }, 'invalid_authorization_details'],
        [{ claims: JSON.stringify({ id_token: { acr: { essential: true, value: 'aal9' } } }) }, 'unmet_authentication_requirements'],
    ];
    for (const [over, error] of bad) {
        const got = await authorize(basic, strong, over);
        assert.equal(got.error, error, JSON.stringify(over));
        assert.equal(got.end.params.get('state'), got.sent.state);
        assert.equal(got.end.params.get('iss'), city.url);
    }
    const { params } = request(basic);
    const twice = await browser(city, strong).go(`/oidc/authorize?${query(params)}&scope=openid`);
    assert.equal(twice.status, 400);
});

test('oidcc-prompt-none: logged in, not logged in, too long ago, too weak', async () => {
    assert.ok((await authorize(basic, strong, { prompt: 'none' })).code);
    assert.equal((await authorize(basic, null, { prompt: 'none' })).error, 'login_required');
    assert.equal((await authorize(basic, strong, { prompt: 'none', max_age: '0' })).error, 'login_required');
    assert.equal((await authorize(basic, weak, { prompt: 'none', acr_values: 'aal2' })).error, 'unmet_authentication_requirements');
    const asks = await makeClient(city, { ...web, consent: 'ask' });
    assert.equal((await authorize(asks, strong, { prompt: 'none' })).error, 'consent_required');
    const sub = jose.decodeJwt((await signIn(basic, strong)).id_token).sub;
    const claims = (value) => JSON.stringify({ id_token: { sub: { value } } });
    assert.ok((await authorize(basic, strong, { prompt: 'none', claims: claims(sub) })).code);
    assert.equal((await authorize(basic, weak, { prompt: 'none', claims: claims(sub) })).error, 'login_required');
});

test('who is not signed in is led to the sign-in page and back', async () => {
    const { end } = await authorize(basic, null, { ui_locales: 'xx en' });
    assert.equal(end.url.pathname, '/en/sign-in');
    const to = end.params.get('to');
    assert.match(to, /^\/oidc\/authorize\/continue\?interaction=/);
    const after = await browser(city, strong).go(to); // signed in meanwhile
    assert.ok(after.params.get('code'), after.text);
    assert.equal((await browser(city, strong).go(to)).status, 400); // answered: not again
    assert.equal((await browser(city, strong).go('/oidc/authorize/continue?interaction=x')).status, 400);
    assert.equal((await browser(city, strong).go('/oidc/authorize/continue')).status, 400);
});

test('oidcc-prompt-login, oidcc-max-age, step-up (RFC 9470): what is asked of the sign-in page', async () => {
    const asked = async (person, over) => (await authorize(basic, person, over)).end.params;
    assert.equal((await asked(strong, { prompt: 'login' })).get('fresh'), '1');
    assert.equal((await asked(strong, { max_age: '0' })).get('fresh'), '1');
    assert.equal((await asked(weak, { acr_values: 'phr aal3' })).get('acr'), 'aal2');
    assert.equal((await asked(weak, { claims: JSON.stringify({ id_token: { acr: { essential: true, values: ['aal3'] } } }) })).get('acr'), 'aal3');
    assert.ok((await authorize(basic, strong, { acr_values: 'aal2' })).code);
    assert.ok((await authorize(basic, strong, { max_age: '10000' })).code);
    const page = (await authorize(basic, strong, { prompt: 'login' })).end;
    const again = await browser(city, strong).go(page.params.get('to')); // came back without signing in again
    assert.equal(again.url.pathname, '/sign-in');
});

test('refresh: each token once, reuse ends the family, never more scope', async () => {
    const first = await signIn(basic, strong, { scope: 'openid offline_access api' });
    const refresh = (token, over = {}) => basic.token({ grant_type: 'refresh_token', refresh_token: token, ...over });
    fails(await refresh(first.refresh_token, { scope: 'openid other' }), 400, 'invalid_scope');
    const less = await refresh(first.refresh_token, { scope: 'api' });
    assert.equal(less.json.scope, 'api');
    const more = await refresh(less.json.refresh_token);
    assert.equal(more.json.scope, 'openid offline_access api');
    const { payload } = { payload: jose.decodeJwt(more.json.id_token) };
    assert.equal(payload.auth_time, jose.decodeJwt(first.id_token).auth_time);
    const stranger = await makeClient(city, web);
    fails(await stranger.token({ grant_type: 'refresh_token', refresh_token: more.json.refresh_token }), 400, 'invalid_grant');
    assert.equal(await active(more.json.access_token), true);
    fails(await refresh(first.refresh_token), 400, 'invalid_grant'); // reuse
    assert.equal(await active(more.json.access_token), false);
    fails(await refresh(more.json.refresh_token), 400, 'invalid_grant');
});

test('refresh race: of many at once with one token at most one succeeds, and then the family is over', async () => {
    const { refresh_token: token } = await signIn(open, strong, { scope: 'openid offline_access' });
    const all = await Promise.all([...Array(8)].map(() => open.token({ grant_type: 'refresh_token', refresh_token: token })));
    const won = all.filter((res) => res.status === 200);
    assert.ok(won.length <= 1, `${won.length}`);
    for (const { json } of won) {
        assert.equal(await active(json.access_token), false);
        fails(await open.token({ grant_type: 'refresh_token', refresh_token: json.refresh_token }), 400, 'invalid_grant');
    }
});

test('a client without a secret: its refresh token is bound to the key of its proofs', async () => {
    const native = await makeClient(city, { ...web, token_endpoint_auth_method: 'none' }, { dpopKey });
    const { refresh_token: token } = await signIn(native, strong, { scope: 'openid offline_access' });
    const thief = { ...native };
    thief.dpopKey = otherKey;
    fails(await open.token({ grant_type: 'refresh_token', refresh_token: token }), 400, 'invalid_grant');
    const headers = { DPoP: await proof(otherKey, { htu: `${city.url}/oidc/token`, nonce: native.nonce }) };
    fails(await form(city, '/oidc/token', { grant_type: 'refresh_token', refresh_token: token, client_id: native.id }, headers), 400, 'invalid_grant');
    fails(await native.token({ grant_type: 'refresh_token', refresh_token: token }, { dpop: false }), 400, 'invalid_grant');
    for (let i = 0; i < 2; i++) assert.equal((await native.token({ grant_type: 'refresh_token', refresh_token: token })).status, 200);
});

test('a stolen DPoP token is worth nothing: no proof, another key, another token, a replay', async () => {
    const { params, verifier } = request(fapi, { scope: 'openid profile' });
    const { json: pushed } = await push(fapi, params);
    const end = await browser(city, strong).go(`/oidc/authorize?${query({ client_id: fapi.id, request_uri: pushed.request_uri })}`);
    const { access_token: token } = (await redeem(fapi, { code: end.params.get('code'), verifier })).json;
    const url = `${city.url}/oidc/userinfo`;
    const get = (headers) => city.get('/oidc/userinfo', headers);
    const good = await fapi.resource('/oidc/userinfo', token);
    assert.equal(good.status, 200, good.headers.get('www-authenticate'));
    const at = { htm: 'GET', htu: url, nonce: fapi.nonce, token };
    const bad = {
        'as Bearer': { Authorization: `Bearer ${token}` }, 'no proof': { Authorization: `DPoP ${token}` },
        'another key': { Authorization: `DPoP ${token}`, DPoP: await proof(otherKey, at) }, 'no ath': { Authorization: `DPoP ${token}`, DPoP: await proof(dpopKey, { ...at, token: undefined }) },
        'ath of another token': { Authorization: `DPoP ${token}`, DPoP: await proof(dpopKey, { ...at, token: 'x' }) }, 'another method': { Authorization: `DPoP ${token}`, DPoP: await proof(dpopKey, { ...at, htm: 'POST' }) },
        'another address': { Authorization: `DPoP ${token}`, DPoP: await proof(dpopKey, { ...at, htu: `${url}/x` }) }, 'no nonce': { Authorization: `DPoP ${token}`, DPoP: await proof(dpopKey, { ...at, nonce: undefined }) },
    };
    for (const [why, headers] of Object.entries(bad)) {
        const res = await get(headers);
        assert.equal(res.status, 401, why);
        assert.match(res.headers.get('www-authenticate'), /^DPoP error="(invalid_token|invalid_dpop_proof|use_dpop_nonce)"/, why);
        assert.ok(res.headers.get('dpop-nonce'), why);
    }
    const once = { Authorization: `DPoP ${token}`, DPoP: await proof(dpopKey, at) };
    assert.equal((await get(once)).status, 200);
    assert.equal((await get(once)).status, 401);
    const { access_token: free } = await signIn(basic, strong);
    assert.equal((await get({ Authorization: `DPoP ${free}`, DPoP: await proof(dpopKey, { ...at, token: free }) })).status, 401);
});

test('UserInfo: without a token, with another, without openid; a token of a client for itself', async () => {
    assert.equal((await city.get('/oidc/userinfo')).headers.get('www-authenticate'), 'Bearer');
    const bad = await city.get('/oidc/userinfo', { Authorization: 'Bearer nonsense' });
    assert.equal(bad.status, 401);
    assert.match(bad.headers.get('www-authenticate'), /^Bearer error="invalid_token"/);
    const { access_token: api } = await signIn(basic, strong, { scope: 'api' });
    const res = await basic.resource('/oidc/userinfo', api);
    assert.equal(res.status, 403);
    assert.match(res.headers.get('www-authenticate'), /insufficient_scope/);
    const own = await makeClient(city, { grant_types: ['client_credentials'], scope: 'api' });
    const { access_token: machine } = (await own.token({ grant_type: 'client_credentials' })).json;
    assert.equal((await city.get('/oidc/userinfo', { Authorization: `Bearer ${machine}` })).status, 403);
    const { refresh_token: refresh } = await signIn(basic, strong, { scope: 'openid offline_access' });
    assert.equal((await city.get('/oidc/userinfo', { Authorization: `Bearer ${refresh}` })).status, 401);
});

test('claims: single ones by name, only from scopes that the client has', async () => {
    const ask = async (rp, person, claims) => {
        const { params, verifier } = request(rp, { scope: 'openid', claims: JSON.stringify(claims) });
        const { json: pushed } = await push(rp, params);
        const end = await browser(city, person).go(`/oidc/authorize?${query({ client_id: rp.id, request_uri: pushed.request_uri })}`);
        return (await redeem(rp, { code: end.params.get('code'), verifier })).json;
    };
    const tokens = await ask(fapi, strong, { id_token: { birthdate: null, name: null }, userinfo: { email: null } });
    const id = jose.decodeJwt(tokens.id_token);
    assert.deepEqual([id.birthdate, id.name, id.email, id.gender], ['1980-01-02', '試験 花子', undefined, undefined]);
    const info = (await fapi.resource('/oidc/userinfo', tokens.access_token)).json;
    assert.deepEqual(Object.keys(info).sort(), ['email', 'sub']);
    const less = await city.put(`/trust/v1/clients/${fapi.id}`, { ...fapi.metadata, scope: 'openid' });
    assert.equal(less.status, 200, less.text);
    assert.deepEqual(Object.keys((await fapi.resource('/oidc/userinfo', tokens.access_token)).json), ['sub']); // not registered for more any more
    assert.equal((await city.put(`/trust/v1/clients/${fapi.id}`, fapi.metadata)).status, 200);
    const plain = await signIn(basic, strong, { claims: JSON.stringify({ id_token: { name: null }, userinfo: { email: null } }) });
    assert.equal(jose.decodeJwt(plain.id_token).name, undefined);
    assert.deepEqual(Object.keys((await basic.resource('/oidc/userinfo', plain.access_token)).json), ['sub']);
});

test('authorization_details go through PAR, code and token, and are asked for each time', async () => {
    const rp = await makeClient(city, { ...fapiMetadata, authorization_details_types: ['disclosure'] }, { key, dpopKey });
    const details = [{ type: 'disclosure', categories: ['allergy'] }];
    const { params, verifier } = request(rp, { authorization_details: JSON.stringify(details) });
    const { json: pushed } = await push(rp, params);
    const end = await browser(city, strong).go(`/oidc/authorize?${query({ client_id: rp.id, request_uri: pushed.request_uri })}`);
    const res = await redeem(rp, { code: end.params.get('code'), verifier });
    assert.deepEqual(res.json.authorization_details, details);
    const about = (await form(city, '/oidc/introspect', { token: res.json.access_token }, server.basic())).json;
    assert.deepEqual(about.authorization_details, details);
});

// The hidden fields of the form of a page.
const fields = (text) => Object.fromEntries([...text.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)].map(([, name, value]) => [name, value]));

test('consent: who, what, why, until when; asked once, by a page whose form only that person can send', async () => {
    const purpose = { ja: '本の予約', en: 'To reserve <books>' };
    const rp = await makeClient(city, { ...web, consent: 'ask', client_name: 'Library & Co', organization: 'City library', purpose });
    const { params, verifier } = request(rp, { scope: 'openid api offline_access', ui_locales: 'en' });
    const me = browser(city, second), stranger = browser(city, strong), nobody = browser(city, null);
    me.pages = true;
    const page = await me.go(`/oidc/authorize?${query(params)}`);
    assert.equal(page.url.pathname, '/en/consent');
    assert.equal(page.status, 200);
    for (const part of ['Library &amp; Co', 'City library', 'To reserve &lt;books&gt;', 'Use of the service &quot;api&quot;', 'while you are not signed in', 'If you say no', 'This is a trial'])
        assert.ok(page.text.includes(part), part);
    assert.match(page.headers.get('cache-control'), /no-store/);
    assert.match(page.headers.get('content-security-policy'), /frame-ancestors 'none'/); // clickjacking
    const form = fields(page.text);
    assert.equal(form.interaction, page.params.get('interaction'));
    const send = (who, over = {}) => who.go('/oidc/authorize/decide', { method: 'POST', params: { ...form, answer: 'yes', ...over } });
    for (const token of ['', 'x', random(24)]) assert.equal((await send(me, { token })).status, 403);
    for (const who of [stranger, nobody]) assert.equal((await send(who)).status, 403); // consent CSRF
    const end = await send(me);
    assert.equal(end.status, 200); // not a redirect: form-action of the page would stop it
    assert.equal(end.url.origin, 'http://127.0.0.1');
    assert.equal(end.params.get('state'), params.state);
    assert.equal((await redeem(rp, { code: end.params.get('code'), verifier })).status, 200);
    assert.equal((await send(me)).status, 400); // answered
    assert.ok((await authorize(rp, second, { scope: 'openid api' })).code); // agreed before, to more
    assert.equal((await authorize(rp, second, { prompt: 'consent' })).end.url.pathname, '/consent');
    assert.equal((await authorize(rp, strong)).end.url.pathname, '/consent'); // somebody else did not
});

test('consent: no means no', async () => {
    const rp = await makeClient(city, { ...web, consent: 'ask' });
    const { params } = request(rp);
    const me = browser(city, second);
    me.pages = true;
    const page = await me.go(`/oidc/authorize?${query(params)}`);
    const end = await me.go('/oidc/authorize/decide', { method: 'POST', params: { ...fields(page.text), answer: 'no' } });
    assert.deepEqual([end.params.get('error'), end.params.get('state'), end.params.get('iss')], ['access_denied', params.state, city.url]);
    assert.equal((await authorize(rp, second, { prompt: 'none' })).error, 'consent_required');
    const evil = await makeClient(city, { ...web, consent: 'ask', client_name: '<script>alert(1)</script>' });
    assert.ok((await me.go(`/oidc/authorize?${query(request(evil).params)}`)).text.includes('&lt;script&gt;'));
    assert.equal((await me.go('/en/consent?interaction=x')).status, 404);
});

test('shared data: a person\'s token counts as the key of their role, for whoever has that role', async () => {
    const rp = await makeClient(city, { ...web, scope: 'openid link' });
    const away = (token) => ({ 'X-Forwarded-For': '203.0.113.9', Authorization: `Bearer ${token}` });
    const make = (n, token) => city.request('POST', '/ngsi-ld/v1/entities', { body: { id: `urn:ngsi-ld:Shelter:role-${n}`, type: 'Shelter' }, headers: away(token) });
    const [{ access_token: operator }, { access_token: resident }] = [await signIn(rp, staff, { scope: 'openid link' }), await signIn(rp, strong, { scope: 'openid link' })];
    assert.equal((await city.post('/link/v1/keys', { name: 'role:operator', policies: ['writer'] })).status, 201);
    assert.equal((await make(1, operator)).status, 201);
    assert.equal((await make(2, resident)).status, 403);
    const { access_token: weakly } = await signIn(rp, weakStaff, { scope: 'openid link' });
    const step = await make(2, weakly); // RFC 9470
    assert.equal(step.status, 401);
    assert.match(step.headers.get('www-authenticate'), /^Bearer error="insufficient_user_authentication", .*acr_values="aal2"/);
    assert.equal((await city.delete('/link/v1/keys/role:operator')).status, 204);
    assert.equal((await make(3, operator)).status, 403);
});

test('sign-out: tokens of the session end in the same moment, those for longer stay', async () => {
    const brief = await signIn(basic, leaver), long = await signIn(basic, leaver, { scope: 'openid offline_access' });
    const unused = await authorize(basic, leaver);
    const me = browser(city, leaver);
    const ask = await me.go('/oidc/logout');
    assert.equal(ask.url.pathname, '/leave'); // no hint: the person is asked
    assert.equal((await me.go('/oidc/logout', { method: 'POST', params: { token: 'x' } })).url.pathname, '/leave');
    assert.equal(await active(brief.access_token), true);
    const wrong = await browser(city, second).go(`/oidc/logout?${query({ id_token_hint: brief.id_token })}`);
    assert.equal(wrong.url.pathname, '/leave'); // the hint is of somebody else's session
    const forged = `${brief.id_token.slice(0, -6)}AAAAAA`;
    assert.equal((await me.go(`/oidc/logout?${query({ id_token_hint: forged })}`)).status, 400);
    for (const uri of ['https://evil.example/', back])
        assert.equal((await me.go(`/oidc/logout?${query({ id_token_hint: brief.id_token, post_logout_redirect_uri: uri })}`)).status, 400, uri);
    assert.equal(await active(brief.access_token), true);
    const end = await me.go(`/oidc/logout?${query({ id_token_hint: brief.id_token })}`);
    assert.equal(end.url.pathname, '/');
    assert.equal(me.cookie, 'session=');
    assert.equal(await active(brief.access_token), false);
    assert.equal(await active(long.access_token), true);
    fails(await redeem(basic, unused), 400, 'invalid_grant'); // a code after sign-out
    assert.equal((await authorize(basic, leaver, { prompt: 'none' })).error, 'login_required');
});

test('oidcc-rp-initiated-logout and oidcc-backchannel: led back, told again until heard', async () => {
    const heard = [];
    let refuse = 2;
    const rpServer = createServer((req, res) => {
        let text = '';
        req.on('data', (part) => { text += part; });
        req.on('end', () => {
            heard.push({ type: req.headers['content-type'], token: new URLSearchParams(text).get('logout_token') });
            res.writeHead(refuse-- > 0 ? 500 : 200).end();
        });
    });
    const port = await new Promise((done) => rpServer.listen(0, '127.0.0.1', () => done(rpServer.address().port)));
    const after = 'http://127.0.0.1/bye';
    const rp = await makeClient(city, { ...web, post_logout_redirect_uris: [after], backchannel_logout_uri: `http://127.0.0.1:${port}/logout` });
    const got = await signIn(rp, mover);
    const { payload: id } = { payload: jose.decodeJwt(got.id_token) };
    const me = browser(city, mover);
    const end = await me.go(`/oidc/logout?${query({ id_token_hint: got.id_token, post_logout_redirect_uri: after, state: 'a b' })}`);
    assert.equal(end.url.href, `${after}?state=a%20b`);
    await eventually(() => heard.length >= 3, 60000);
    assert.match(heard[2].type, /x-www-form-urlencoded/);
    const jwks = jose.createRemoteJWKSet(new URL(`${city.url}/oidc/jwks`));
    const { payload } = await jose.jwtVerify(heard[2].token, jwks, { issuer: city.url, audience: rp.id, typ: 'logout+jwt' });
    assert.deepEqual([payload.sub, payload.sid, payload.nonce], [id.sub, id.sid, undefined]);
    assert.deepEqual(payload.events, { 'http://schemas.openid.net/event/backchannel-logout': {} });
    assert.ok(payload.jti && payload.exp - payload.iat <= 120);
    assert.notEqual(jose.decodeJwt(heard[0].token).jti, payload.jti);
    await new Promise((done) => rpServer.close(done));
});

test('back-channel logout calls no private address', async () => {
    let asked = 0;
    const inside = createServer((req, res) => { asked++; res.end(); });
    const port = await new Promise((done) => inside.listen(0, '127.0.0.1', () => done(inside.address().port)));
    const strict = await startCityWithPeople([AAL1], { args: ['--oidc.sweep_ms=100'] });
    const rp = await makeClient(strict, { ...web, backchannel_logout_uri: `http://127.0.0.1:${port}/admin` });
    const { params, verifier } = request(rp);
    const end = await browser(strict, strict.people[0]).go(`/oidc/authorize?${query(params)}`);
    const { json } = await redeem(rp, { code: end.params.get('code'), verifier });
    await browser(strict, strict.people[0]).go(`/oidc/logout?${query({ id_token_hint: json.id_token })}`);
    await eventually(() => /oidc\.logout/.test(strict.errors), 60000);
    assert.equal(asked, 0);
    await strict.stop();
    inside.close();
});

test('device flow (RFC 8628): pending, slow_down, codes of others, brute force', async () => {
    const device = await makeClient(city, { grant_types: ['urn:ietf:params:oauth:grant-type:device_code'], scope: 'openid', consent: 'none', token_endpoint_auth_method: 'none' });
    const { status, json: begun } = await device.call('/oidc/device_authorization', { scope: 'openid' });
    assert.equal(status, 200);
    assert.match(begun.user_code, /^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
    assert.equal(begun.interval, 5);
    const poll = (rp = device) => rp.token({ grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code: begun.device_code });
    fails(await poll(), 400, 'authorization_pending');
    fails(await poll(), 400, 'slow_down');
    fails(await device.token({ grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code: 'x' }), 400, 'invalid_grant');
    const stranger = await makeClient(city, { ...device.metadata, client_id: undefined });
    fails(await poll(stranger), 400, 'invalid_grant');
    fails(await basic.call('/oidc/device_authorization', { scope: 'openid' }), 400, 'unauthorized_client');
    const me = browser(city, typist);
    me.pages = true;
    assert.equal((await browser(city, null).go('/oidc/device/verify', { method: 'POST', params: { user_code: begun.user_code } })).url.pathname, '/sign-in');
    assert.equal((await me.go('/oidc/device/verify', { method: 'POST', params: { user_code: begun.user_code, token: 'x' } })).status, 403);
    const page = await me.go(`/en/device?user_code=${begun.user_code}`);
    assert.ok(page.text.includes(`value="${begun.user_code}"`));
    const type = (code) => me.go('/oidc/device/verify', { method: 'POST', params: { ...fields(page.text), user_code: code } });
    const ask = await type(begun.user_code.toLowerCase().replace('-', ' '));
    assert.match(ask.url.pathname, /^\/\w+\/consent$/); // always asked, though the client is the city's own: device-code phishing
    const end = await me.go('/oidc/authorize/decide', { method: 'POST', params: { ...fields(ask.text), answer: 'yes' } });
    assert.equal(end.params.get('done'), 'yes');
    const tokens = await eventually(async () => { // the device asks as often as it may
        const res = await poll();
        return res.status === 200 && res.json;
    }, 60000, 1000);
    assert.equal(jose.decodeJwt(tokens.id_token).aud, device.id);
    fails(await poll(), 400, 'invalid_grant'); // once
    const denied = (await device.call('/oidc/device_authorization', { scope: 'openid' })).json;
    const other = await type(denied.user_code);
    await me.go('/oidc/authorize/decide', { method: 'POST', params: { ...fields(other.text), answer: 'no' } });
    fails(await device.token({ grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code: denied.device_code }), 400, 'access_denied');
    const third = (await device.call('/oidc/device_authorization', { scope: 'openid' })).json;
    const seen = [];
    while (seen.at(-1) !== 'often' && seen.length < 12) seen.push((await type('BBBB-BBBB')).params.get('wrong'));
    assert.ok(seen.includes('code') && seen.at(-1) === 'often', seen.join()); // brute force: five in ten minutes
    assert.equal((await type(third.user_code)).params.get('wrong'), 'often'); // the right one too
});

test('kill -9: a used code stays used, an ended grant ended, a suspended person\'s tokens are none, and a sign-out is told afterwards', async () => {
    const got = await authorize(basic, second), other = await authorize(basic, second);
    const { json: used } = await redeem(basic, got);
    const ended = await signIn(basic, second, { scope: 'openid offline_access' });
    assert.equal((await basic.call('/oidc/revoke', { token: ended.refresh_token })).status, 200);
    const heard = [];
    const rpServer = createServer((req, res) => { heard.push(req.url); res.end(); });
    const port = await new Promise((done) => rpServer.listen(0, '127.0.0.1', () => done(rpServer.address().port)));
    await new Promise((done) => rpServer.close(done));
    const rp = await makeClient(city, { ...web, backchannel_logout_uri: `http://127.0.0.1:${port}/logout` });
    const leaving = await signIn(rp, second);
    await browser(city, second).go(`/oidc/logout?${query({ id_token_hint: leaving.id_token })}`);
    const suspended = await signIn(basic, weak, { scope: 'openid offline_access' }), at = city.port;
    assert.equal(await active(suspended.access_token), true);
    await city.kill();
    const sql = `UPDATE account SET state = 1 WHERE id = ${weak.account}`;
    const done = city.store ? spawnSync('psql', ['-q', '-d', city.store, '-c', sql], { encoding: 'utf8' }) : spawnSync('sqlite3', [path.join(folder, 'city.db'), sql], { encoding: 'utf8' });
    assert.equal(done.status, 0, done.stderr);
    await new Promise((done) => rpServer.listen(port, '127.0.0.1', done));
    city = await startCity({ data: folder, args, port: at, store: city.store });
    assert.equal(await active(used.access_token), false); // of the session that ended
    fails(await redeem(basic, got), 400, 'invalid_grant');
    fails(await redeem(basic, other), 400, 'invalid_grant');
    assert.equal(await active(ended.access_token), false);
    assert.equal(await active(suspended.access_token), false);
    fails(await basic.token({ grant_type: 'refresh_token', refresh_token: suspended.refresh_token }), 400, 'invalid_grant');
    await eventually(() => heard.length > 0, 60000);
    await new Promise((done) => rpServer.close(done));
});

await run(async () => {
    await city.stop();
    rmSync(folder, { recursive: true, force: true });
});
