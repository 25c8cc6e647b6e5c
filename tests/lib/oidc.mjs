// oidc.mjs - clients of the city's OpenID Provider, for tests: keys, assertions, proofs, forms.
//
//     const rp = await makeClient(city, { grant_types: ['client_credentials'], scope: 'api' });
//     const res = await rp.token({ grant_type: 'client_credentials' });
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as jose from 'jose';
import { bin, startCity } from './city.mjs';

// A city with invented residents who are signed in: city.people[i] has { account, session, cookie }. amr: a
// number of methods (trust/session.h) for each, or '1+operator' with a role.
export async function startCityWithPeople(amr, options = {}) {
    const data = options.data ?? mkdtempSync(path.join(tmpdir(), 'marugoto-oidc-'));
    const seed = (store) => {
        const tool = path.join(path.dirname(bin), '../../tests/unit/trust/sign_in');
        const made = spawnSync(tool, [data, store ?? `sqlite:${data}/city.db`, ...amr.map(String)], { encoding: 'utf8' });
        if (made.status !== 0) throw new Error(`sign_in: ${made.stderr}`);
        return made.stdout.trim().split('\n').map((line) => JSON.parse(line));
    };
    let people = process.env.MARUGOTO_TEST_PG ? null : seed();
    const city = await startCity({ ...options, data });
    people ??= seed(city.store);
    city.people = people;
    const stop = city.stop;
    city.stop = async () => {
        await stop();
        if (!options.data) rmSync(data, { recursive: true, force: true });
    };
    return city;
}

// A browser: keeps the session's cookie, follows redirects within the city, stops where they lead elsewhere or a
// page is shown; with me.pages it goes on to the city's pages too. Gives { status, url, text, params } of where it ended.
export function browser(city, person) {
    const me = { cookie: person ? `session=${person.cookie}` : '' };
    me.go = async (target, { method = 'GET', params } = {}) => {
        let at = new URL(target, city.url), turn = 0;
        for (;;) {
            const init = { method, redirect: 'manual', headers: { Accept: 'text/html', ...(me.cookie ? { Cookie: me.cookie } : {}) } };
            if (method === 'POST') {
                init.headers['Content-Type'] = 'application/x-www-form-urlencoded';
                init.body = new URLSearchParams(params).toString();
            }
            const res = await fetch(at, init);
            const set = res.headers.getSetCookie().find((line) => line.startsWith('session='));
            if (set) me.cookie = set.split(';')[0];
            const to = res.headers.get('location') ?? /^0;url=(.*)$/.exec(res.headers.get('refresh') ?? '')?.[1];
            if (!to) return { status: res.status, url: at, text: await res.text(), params: at.searchParams, headers: res.headers };
            const next = new URL(to, at);
            if (next.origin !== city.url || (!next.pathname.startsWith('/oidc/') && !me.pages) || ++turn > 10)
                return { status: res.status, url: next, text: '', params: next.searchParams, headers: res.headers };
            at = next;
            method = 'GET';
        }
    };
    return me;
}

export const random = (bytes = 16) => randomBytes(bytes).toString('base64url');
export const sha256 = (text) => createHash('sha256').update(text).digest('base64url');
const seconds = () => Math.floor(Date.now() / 1000);

export async function makeKey(alg = 'ES256') {
    const { privateKey, publicKey } = await jose.generateKeyPair(alg, { extractable: true });
    const jwk = { ...(await jose.exportJWK(publicKey)), alg, use: 'sig' };
    const kid = await jose.calculateJwkThumbprint(jwk);
    return { alg, privateKey, publicKey, kid, jwk: { ...jwk, kid }, bare: await jose.exportJWK(publicKey) };
}

// A client's assertion (RFC 7523); over: claims that differ, header: header members that differ.
export function assertion(client, issuer, over = {}, header = {}) {
    const claims = { iss: client, sub: client, aud: issuer, jti: random(), iat: seconds(), exp: seconds() + 60, ...over };
    return (key) => new jose.SignJWT(JSON.parse(JSON.stringify(claims)))
        .setProtectedHeader({ alg: key.alg, kid: key.kid, ...header }).sign(key.privateKey);
}

// A DPoP proof (RFC 9449).
export function proof(key, { htm = 'POST', htu, nonce, token, over = {}, header = {} }) {
    const claims = { jti: random(), htm, htu, iat: seconds(), ...(nonce ? { nonce } : {}), ...(token ? { ath: sha256(token) } : {}), ...over };
    return new jose.SignJWT(JSON.parse(JSON.stringify(claims)))
        .setProtectedHeader({ alg: key.alg, typ: 'dpop+jwt', jwk: key.bare, ...header }).sign(key.privateKey);
}

export async function form(city, path, params, headers = {}) {
    const body = params instanceof URLSearchParams || typeof params === 'string' ? String(params)
        : new URLSearchParams(Object.entries(params).filter(([, v]) => v !== undefined)).toString();
    return city.request('POST', path, { body, type: 'application/x-www-form-urlencoded', headers });
}

// Registers a client and knows how to call for it. `key` makes it private_key_jwt.
export async function makeClient(city, metadata = {}, { key, dpopKey } = {}) {
    const { status, json, text } = await city.post('/trust/v1/clients', {
        client_name: 'A test', ...metadata, ...(key ? { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [key.jwk] } } : {}),
    });
    if (status !== 201) throw new Error(`client: ${status} ${text}`);
    const rp = { id: json.client_id, secret: json.client_secret, metadata: json, key, dpopKey, issuer: city.issuer ?? city.url };
    rp.auth = async (over, header) => {
        if (rp.key) return { client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion: await assertion(rp.id, rp.issuer, over, header)(rp.key) };
        return rp.secret ? { client_id: rp.id, client_secret: rp.secret } : { client_id: rp.id };
    };
    rp.basic = () => ({ Authorization: `Basic ${Buffer.from(`${encodeURIComponent(rp.id)}:${encodeURIComponent(rp.secret)}`).toString('base64')}` });
    rp.headers = () => (json.token_endpoint_auth_method === 'client_secret_basic' ? rp.basic() : {});
    // One form with authentication and, with a dpopKey, a proof; asks again when a nonce is wanted.
    rp.call = async (path, params, { dpop = true } = {}) => {
        for (let turn = 0; ; turn++) {
            const headers = rp.headers();
            if (rp.dpopKey && dpop) headers.DPoP = await proof(rp.dpopKey, { htu: rp.issuer + path, nonce: rp.nonce });
            const res = await form(city, path, { ...params, ...(headers.Authorization ? {} : await rp.auth()) }, headers);
            rp.nonce = res.headers.get('dpop-nonce') ?? rp.nonce;
            if (turn || res.json?.error !== 'use_dpop_nonce') return res;
        }
    };
    rp.token = (params, options) => rp.call('/oidc/token', params, options);
    // A request at a resource with a token, and a proof when it is bound.
    rp.resource = async (path, token, { method = 'GET', scheme } = {}) => {
        for (let turn = 0; ; turn++) {
            const headers = { Authorization: `${scheme ?? (rp.dpopKey ? 'DPoP' : 'Bearer')} ${token}` };
            if (rp.dpopKey) headers.DPoP = await proof(rp.dpopKey, { htm: method, htu: rp.issuer + path, nonce: rp.nonce, token });
            const res = await city.request(method, path, { headers });
            rp.nonce = res.headers.get('dpop-nonce') ?? rp.nonce;
            if (turn || !/use_dpop_nonce/.test(res.headers.get('www-authenticate') ?? '')) return res;
        }
    };
    return rp;
}
