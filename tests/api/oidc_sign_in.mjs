#!/usr/bin/env node
// From a client through the city's own sign-in page and back: by password, by password and app when the client asks
// for more, again when it asks for a fresh sign-in; and out again by the person's own list of devices.
import assert from 'node:assert/strict';
import * as jose from 'jose';
import { startCity } from '../lib/city.mjs';
import { form, makeClient, random, sha256 } from '../lib/oidc.mjs';
import { run, test } from '../lib/tap.mjs';
import { Visitor, password, register, totp } from '../lib/visitor.mjs';

const city = await startCity({ args: ['--trust.attempts_per_address=1000'] });
const back = 'http://127.0.0.1/back';
const rp = await makeClient(city, { redirect_uris: [back], sandbox: true, scope: 'openid', consent: 'none', token_endpoint_auth_method: 'client_secret_post' });
const server = await makeClient(city, { grant_types: [], introspection: true });
const active = async (token) => (await form(city, '/oidc/introspect', { token }, server.basic())).json.active;
await register(city, 'hanako');

// Follows redirects within the city; stops at a page, or where somebody is led to the client.
async function follow(me, answer) {
    for (let turn = 0; turn < 10; turn++) {
        const to = answer.to ?? /^0;url=(.*)$/.exec(answer.headers.get('refresh') ?? '')?.[1];
        if (!to) return answer;
        if (!to.startsWith('/') && !to.startsWith(city.url)) return { ...answer, back: new URL(to) };
        answer = { ...(await me.open(to.replace(city.url, ''))), at: to.replace(city.url, '') };
    }
    throw new Error('too many redirects');
}
async function begin(me, over = {}) {
    const verifier = random(32);
    const params = new URLSearchParams({ client_id: rp.id, response_type: 'code', redirect_uri: back, scope: 'openid', code_challenge: sha256(verifier), code_challenge_method: 'S256', ui_locales: 'en', ...over });
    return { verifier, ...(await follow(me, await me.open(`/oidc/authorize?${params}`))) };
}
async function finish({ verifier, ...answer }) {
    assert.ok(answer.back?.searchParams.get('code'), `${answer.status} ${answer.at} ${answer.text?.slice(0, 400)}`);
    const res = await rp.token({ grant_type: 'authorization_code', code: answer.back.searchParams.get('code'), redirect_uri: back, code_verifier: verifier });
    assert.equal(res.status, 200, res.text);
    return { ...res.json, claims: jose.decodeJwt(res.json.id_token) };
}
// The sign-in page that was led to, filled in.
async function fill(me, page, fields) {
    assert.match(page.at, /^\/en\/sign-in\?/);
    return follow(me, await me.send(page.at, { ...hiddenOf(me), ...fields }));
}
const hiddenOf = (me) => Object.fromEntries([...me.page.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)].map(([, name, value]) => [name, value.replaceAll('&amp;', '&')]));

const me = new Visitor(city);

test('signed in by password on the way, and led back to the client', async () => {
    const page = await begin(me);
    const got = await finish({ verifier: page.verifier, ...(await fill(me, page, { login: 'hanako', password })) });
    assert.deepEqual([got.claims.acr, got.claims.amr], ['aal1', ['pwd']]);
    me.first = got;
});

test('a second client of the same sector knows the same person, without signing in again', async () => {
    const again = await finish(await begin(me));
    assert.equal(again.claims.sub, me.first.claims.sub);
    assert.equal(again.claims.auth_time, me.first.claims.auth_time);
    assert.equal(again.claims.sid, me.first.claims.sid);
});

test('prompt=login: the password is asked for again, and auth_time is new', async () => {
    await new Promise((go) => setTimeout(go, 1100)); // auth_time has seconds
    const page = await begin(me, { prompt: 'login' });
    const got = await finish({ verifier: page.verifier, ...(await fill(me, page, { login: 'hanako', password })) });
    assert.ok(got.claims.auth_time > me.first.claims.auth_time);
    assert.equal(got.claims.sub, me.first.claims.sub);
});

test('acr_values=aal2: an app is asked for too (RFC 9470)', async () => {
    await me.open('/en/my/app');
    const key = /id="app-key"[^>]*value="([^"]*)"/.exec(me.page)?.[1];
    assert.ok(key, me.page.slice(0, 500));
    const set = await me.send('/en/my/app', { secret: me.hidden('secret'), code: totp(key) });
    const codes = [...set.text.matchAll(/<code>([^<]*)<\/code>/g)].map((m) => m[1]);
    const other = new Visitor(city);
    const page = await begin(other, { acr_values: 'aal2' });
    const second = await fill(other, page, { login: 'hanako', password });
    const answer = second.back ? second : await follow(other, await other.send('/en/sign-in/code', { ...hiddenOf(other), code: codes.pop() }));
    const got = await finish({ verifier: page.verifier, ...answer });
    assert.equal(got.claims.acr, 'aal2');
    assert.ok(got.claims.amr.includes('pwd') && got.claims.amr.includes('otp'), JSON.stringify(got.claims.amr));
    me.strong = got;
});

test('signed out from another device: what the client got ends', async () => {
    const got = await finish(await begin(me));
    assert.equal(await active(got.access_token), true);
    await me.open('/en/my/devices');
    await me.send('/en/my/devices', { all: '1' });
    assert.equal(await active(me.strong.access_token), false); // the other browser's
});

await run(() => city.stop());
