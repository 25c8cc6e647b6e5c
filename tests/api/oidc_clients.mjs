#!/usr/bin/env node
// The OpenID Provider without people: registering clients, authenticating them, tokens for themselves, DPoP,
// introspection, revocation, keys. The names of tests follow the plans of the OpenID conformance suite where they
// have such a test (oidcc-*, fapi2-security-profile-*); nothing here is certified.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createServer, request as httpRequest } from 'node:http';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as jose from 'jose';
import * as oauth from 'oauth4webapi';
import { test, run } from '../lib/tap.mjs';
import { startCity } from '../lib/city.mjs';
import { command, commandLater } from '../lib/command.mjs';
import { assertion, form, makeClient, makeKey, proof, random } from '../lib/oidc.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'marugoto-oidc-'));
const args = ['--allow-private', '--oidc.sweep_ms=200', '--http.trusted_proxies=127.0.0.2', '--oidc.certificates=true'];
let city = await startCity({ data: folder, args });
const key = await makeKey(), other = await makeKey(), dpopKey = await makeKey();
const own = { grant_types: ['client_credentials'], scope: 'api:read api:write' };
const secret = await makeClient(city, own);
const signer = await makeClient(city, { ...own, access_token_format: 'jwt', resources: ['https://api.city.example'] }, { key });
const server = await makeClient(city, { grant_types: [], introspection: true });
const grant = { grant_type: 'client_credentials' };
// A self-signed certificate as DER.
function certificate(subject, names) {
    const [keyFile, file] = [path.join(folder, 'x.key'), path.join(folder, 'x.der')];
    const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', keyFile,
        '-subj', subject, '-addext', `subjectAltName=${names}`, '-days', '2', '-outform', 'DER', '-out', file], { encoding: 'utf8' });
    assert.equal(made.status, 0, made.stderr);
    return readFileSync(file);
}
const introspect = async (token, rp = server) => (await form(city, '/oidc/introspect', { token }, rp.basic())).json;
const fails = (res, status, error) => {
    assert.equal(res.status, status, res.text);
    assert.equal(res.json.error, error, res.text);
    assert.equal(res.headers.get('cache-control'), 'no-store');
};

test('oidcc-server: metadata say the issuer, in both places, and may be read from anywhere', async () => {
    const one = await city.get('/.well-known/openid-configuration');
    assert.equal(one.status, 200);
    assert.equal(one.json.issuer, city.url);
    assert.deepEqual((await city.get('/.well-known/oauth-authorization-server')).json, one.json);
    for (const [name, value] of Object.entries(one.json))
        if (/_endpoint$|_uri$/.test(name)) assert.ok(value.startsWith(`${city.url}/oidc/`), name);
    assert.ok(!one.json.token_endpoint_auth_signing_alg_values_supported.includes('RS256'));
});

test('the issuer is not what a Host header says', async () => {
    for (const headers of [{ 'X-Forwarded-For': '203.0.113.9' }, { Via: '1.1 x' }]) {
        const { status, json } = await city.get('/.well-known/openid-configuration', headers);
        assert.equal(status, 503);
        assert.equal(json.error, 'temporarily_unavailable');
    }
    const named = await startCity({ args: ['--oidc.issuer=https://id.city.example'] });
    const { json, headers } = await named.get('/.well-known/openid-configuration', { Origin: 'https://app.example', 'X-Forwarded-For': '203.0.113.9' });
    assert.equal(json.issuer, 'https://id.city.example');
    assert.equal(json.token_endpoint, 'https://id.city.example/oidc/token');
    assert.equal(headers.get('access-control-allow-origin'), '*');
    await named.stop();
    for (const bad of ['https://id.city.example/', 'http://id.city.example', 'https://id.city.example?x', 'x'])
        await assert.rejects(startCity({ args: [`--oidc.issuer=${bad}`] }), /oidc.issuer/);
});

test('keys are published with cache headers and without what signs', async () => {
    const { status, json, headers } = await city.get('/oidc/jwks');
    assert.equal(status, 200);
    assert.match(headers.get('cache-control'), /^public, max-age=\d+$/);
    assert.equal(json.keys.length, 1);
    assert.deepEqual(Object.keys(json.keys[0]).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
});

test('clients are registered by whoever manages the city, by nobody else', async () => {
    const away = { 'X-Forwarded-For': '203.0.113.9' };
    for (const [method, target] of [['GET', ''], ['POST', ''], ['GET', `/${secret.id}`], ['DELETE', `/${secret.id}`], ['POST', `/${secret.id}/secret`]]) {
        const { status } = await city.request(method, `/trust/v1/clients${target}`, { headers: away, body: method === 'POST' ? {} : undefined });
        assert.ok(status === 403 || status === 401, `${method} ${target} ${status}`);
    }
    assert.equal((await city.get(`/trust/v1/clients/${secret.id}`)).json.client_secret, undefined);
    const list = (await city.get('/trust/v1/clients')).json;
    assert.ok(list.find((c) => c.client_id === signer.id && c.version === 1 && c.changed_by === 'local'));
});

test('metadata that cannot be are refused, each with its reason', async () => {
    const code = { redirect_uris: ['https://app.example/back'] };
    const bad = [
        [{ client_name: '' }, /client_name/], [{ ...code, nonsense: 1 }, /nonsense/],
        [{ redirect_uris: [] }, /redirect_uris/], [{ redirect_uris: ['http://app.example/back'] }, /redirect_uris/],
        [{ redirect_uris: ['https://app.example/back#x'] }, /redirect_uris/], [{ redirect_uris: ['https://u:p@app.example/'] }, /redirect_uris/],
        [{ redirect_uris: ['https://APP.example/'] }, /redirect_uris/], [{ redirect_uris: ['https://app.example:99999/'] }, /redirect_uris/],
        [{ redirect_uris: ['javascript:alert(1)'] }, /redirect_uris/], [{ redirect_uris: ['http://127.0.0.1/back'] }, /redirect_uris/],
        [{ redirect_uris: ['jp.example.app:/back'] }, /redirect_uris/], [{ ...code, sandbox: true }, /redirect_uris/],
        [{ redirect_uris: ['https://a.example/', 'https://b.example/'] }, /sector_identifier/],
        [{ ...code, scope: 'openid profile' }, /fapi2/], [{ ...code, scope: 'openid  x' }, /scope/],
        [{ ...code, profile: 'fapi2' }, /fapi2/], [{ ...code, profile: 'other' }, /profile/],
        [{ ...code, token_endpoint_auth_method: 'private_key_jwt' }, /jwks/], [{ ...code, token_endpoint_auth_method: 'client_secret_jwt' }, /auth_method/],
        [{ ...code, jwks: { keys: [key.jwk] }, jwks_uri: 'https://app.example/jwks' }, /not both/],
        [{ ...code, jwks: { keys: [] } }, /jwks/], [{ ...code, jwks: { keys: [{ kty: 'oct', k: 'AAAA' }] } }, /key/],
        [{ ...code, jwks: { keys: [{ ...key.jwk, alg: 'RS256' }] } }, /./], [{ ...code, jwks: { keys: [await jose.exportJWK(key.privateKey)] } }, /private/],
        [{ ...own, token_endpoint_auth_method: 'none' }, /secret/], [{ ...own, token_endpoint_auth_method: 'tls_client_auth' }, /certificate/],
        [{ ...code, sector_identifier_uri: 'https://app.example/sector' }, /sector_identifier_uri/], [{ ...code, request_uris: ['https://app.example/r'] }, /request_uris/],
        [{ ...code, jwks_uri: 'ftp://x/' }, /jwks_uri/], [{ ...code, client_id: 'a b' }, /client_id/], [{ ...code, response_types: ['token'] }, /response_types/],
    ];
    for (const [metadata, why] of bad) {
        const { status, json } = await city.post('/trust/v1/clients', { client_name: 'x', ...metadata });
        assert.equal(status, 400, JSON.stringify(metadata));
        assert.match(json.detail, why, JSON.stringify(metadata));
    }
    const twice = await city.request('POST', '/trust/v1/clients', { body: '{"client_name":"a","client_name":"b"}' });
    assert.equal(twice.status, 400);
});

test('oidcc-client-secret-basic and -post: the right secret in the registered place', async () => {
    const ok = await secret.token(grant);
    assert.equal(ok.status, 200, ok.text);
    assert.equal(ok.json.token_type, 'Bearer');
    assert.equal(ok.json.scope, own.scope);
    assert.equal(ok.headers.get('cache-control'), 'no-store');
    fails(await form(city, '/oidc/token', { ...grant, client_id: secret.id, client_secret: secret.secret }), 401, 'invalid_client');
    const wrong = await form(city, '/oidc/token', grant, { Authorization: `Basic ${Buffer.from(`${secret.id}:x`).toString('base64')}` });
    fails(wrong, 401, 'invalid_client');
    assert.match(wrong.headers.get('www-authenticate'), /^Basic/);
    fails(await form(city, '/oidc/token', grant, { Authorization: 'Basic !!' }), 401, 'invalid_client');
    fails(await form(city, '/oidc/token', grant), 401, 'invalid_client');
    fails(await form(city, '/oidc/token', { ...grant, client_id: 'nobody' }), 401, 'invalid_client');
    fails(await form(city, '/oidc/token', { ...grant, client_secret: secret.secret }, secret.basic()), 400, 'invalid_request');
    fails(await form(city, '/oidc/token', { ...grant, client_id: signer.id }, secret.basic()), 400, 'invalid_request');
    const post = await makeClient(city, { ...own, token_endpoint_auth_method: 'client_secret_post' });
    assert.equal((await post.token(grant)).status, 200);
    fails(await form(city, '/oidc/token', grant, post.basic()), 401, 'invalid_client');
});

test('a new secret ends the old one', async () => {
    const rp = await makeClient(city, own);
    const old = rp.basic();
    const { status, json } = await city.post(`/trust/v1/clients/${rp.id}/secret`);
    assert.equal(status, 201);
    assert.notEqual(json.client_secret, rp.secret);
    fails(await form(city, '/oidc/token', grant, old), 401, 'invalid_client');
    rp.secret = json.client_secret;
    assert.equal((await rp.token(grant)).status, 200);
});

test('a client that is removed has nothing any more, and its name stays taken', async () => {
    const rp = await makeClient(city, { ...own, client_id: 'passing' });
    const { json } = await rp.token(grant);
    assert.equal((await introspect(json.access_token)).active, true);
    assert.equal((await city.delete(`/trust/v1/clients/${rp.id}`)).status, 204);
    assert.equal((await introspect(json.access_token)).active, false);
    fails(await rp.token(grant), 401, 'invalid_client');
    assert.equal((await city.delete(`/trust/v1/clients/${rp.id}`)).status, 404);
    assert.equal((await city.post('/trust/v1/clients', { client_name: 'x', client_id: 'passing', ...own })).status, 409);
});

test('a client is changed, its secret stays', async () => {
    const rp = await makeClient(city, own);
    const put = (metadata) => city.put(`/trust/v1/clients/${rp.id}`, metadata);
    assert.equal((await put({ client_name: 'New', grant_types: ['client_credentials'], scope: 'other' })).status, 200);
    assert.equal((await rp.token(grant)).json.scope, 'other');
    assert.equal((await put({ client_name: 'New', client_id: 'another', ...own })).status, 400);
    assert.equal((await city.put('/trust/v1/clients/nobody', { client_name: 'New', ...own })).status, 404);
});

test('the command line registers too, beside the city that serves', async () => {
    const file = path.join(folder, 'client.json');
    writeFileSync(file, JSON.stringify({ client_name: 'By command', ...own }));
    const where = ['--data', folder, '--port', String(city.port), ...(city.store ? ['--store', city.store] : [])];
    const made = await commandLater(['client', 'add', file, ...where]);
    assert.equal(made.code, 0, made.err + made.out);
    const { client_id: id, client_secret: known } = JSON.parse(made.out);
    assert.equal((await form(city, '/oidc/token', grant, { Authorization: `Basic ${Buffer.from(`${id}:${known}`).toString('base64')}` })).status, 200);
    assert.ok(JSON.parse((await commandLater(['client', 'list', ...where])).out).some((c) => c.client_id === id));
    assert.notEqual(JSON.parse((await commandLater(['client', 'secret', id, ...where])).out).client_secret, known);
    assert.equal((await commandLater(['client', 'change', id, file, ...where])).code, 0);
    assert.equal((await commandLater(['client', 'remove', id, ...where])).code, 0);
    assert.equal((await commandLater(['client', 'remove', id, ...where])).code, 1);
    for (const args of [[], ['add'], ['nonsense'], ['list', 'x']]) assert.equal(command(['client', ...args]).code, 2, args.join(' '));
});

test('oauth4webapi: client_credentials with private_key_jwt gives a JWT that verifies (RFC 9068)', async () => {
    const issuer = new URL(city.url);
    const insecure = { [oauth.allowInsecureRequests]: true };
    const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }));
    const client = { client_id: signer.id };
    const auth = oauth.PrivateKeyJwt({ key: key.privateKey, kid: key.kid });
    const res = await oauth.clientCredentialsGrantRequest(as, client, auth, { resource: 'https://api.city.example', scope: 'api:read' }, insecure);
    const token = await oauth.processClientCredentialsResponse(as, client, res);
    assert.equal(token.scope, 'api:read');
    const { payload, protectedHeader } = await jose.jwtVerify(token.access_token, jose.createRemoteJWKSet(new URL(as.jwks_uri)), {
        issuer: city.url, audience: 'https://api.city.example', typ: 'at+jwt', algorithms: ['ES256'],
    });
    assert.ok(protectedHeader.kid);
    assert.deepEqual([payload.client_id, payload.sub, payload.scope], [signer.id, signer.id, 'api:read']);
    assert.ok(payload.exp > payload.iat && payload.jti);
    const about = await introspect(token.access_token);
    assert.equal(about.active, true);
    assert.equal(about.token_type, 'Bearer');
    assert.equal(about.jti, payload.jti);
    const asked = await oauth.processIntrospectionResponse(as, { client_id: server.id }, await oauth.introspectionRequest(as, { client_id: server.id }, oauth.ClientSecretBasic(server.secret), token.access_token, insecure));
    assert.equal(asked.active, true);
    await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, token.access_token, insecure));
    assert.deepEqual(await introspect(token.access_token), { active: false });
});

test('fapi2-security-profile-final-ensure-client-assertion: what an assertion must not be', async () => {
    const now = Math.floor(Date.now() / 1000);
    const send = async (text) => form(city, '/oidc/token', { ...grant, client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion: text });
    const make = (over, header, k = key) => assertion(signer.id, city.url, over, header)(k);
    assert.equal((await send(await make())).status, 200);
    const once = await make();
    assert.equal((await send(once)).status, 200);
    fails(await send(once), 401, 'invalid_client'); // jti replay
    const bad = {
        'the audience as a list': { aud: [city.url] }, 'two audiences': { aud: [city.url, 'https://x'] }, 'the token endpoint as audience': { aud: `${city.url}/oidc/token` },
        'another audience': { aud: 'https://other.example' }, 'no audience': { aud: undefined }, 'over': { exp: now - 60 }, 'no end': { exp: undefined },
        'far end': { exp: now + 86400 }, 'not yet': { nbf: now + 300 }, 'from the future': { iat: now + 300 }, 'no jti': { jti: undefined }, 'jti is a number': { jti: 5 },
        'another subject': { sub: 'x' }, 'another issuer': { iss: 'x' }, 'the end as text': { exp: String(now + 60) },
    };
    for (const [why, over] of Object.entries(bad)) {
        const res = await send(await make(over));
        assert.equal(res.status, 401, why);
        assert.equal(res.json.error, 'invalid_client', why);
    }
    fails(await send(await make({}, {}, { ...other, kid: key.kid })), 401, 'invalid_client'); // by another key
    fails(await send(await make({}, { kid: '../../etc/passwd' })), 401, 'invalid_client');
    fails(await send(await make({}, { kid: "x' OR 1=1 --" })), 401, 'invalid_client');
    fails(await send(await make({}, { typ: 'dpop+jwt' })), 401, 'invalid_client');
    fails(await form(city, '/oidc/token', { ...grant, client_assertion: await make() }), 400, 'invalid_request');
});

test('JOSE: none, HMAC with our public key, crit, duplicate names, r or s of zero, JWE', async () => {
    const now = Math.floor(Date.now() / 1000);
    const b64 = (v) => Buffer.from(typeof v === 'string' ? v : JSON.stringify(v)).toString('base64url');
    const claims = () => ({ iss: signer.id, sub: signer.id, aud: city.url, jti: random(), exp: now + 60 });
    const send = (text) => form(city, '/oidc/token', { ...grant, client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion: text });
    const good = await assertion(signer.id, city.url)(key);
    const [head, , sig] = good.split('.');
    const spki = await jose.exportSPKI(key.publicKey);
    const hmac = await new jose.SignJWT(claims()).setProtectedHeader({ alg: 'HS256', kid: key.kid }).sign(new TextEncoder().encode(spki));
    const duplicate = `{"iss":"${signer.id}","sub":"${signer.id}","aud":"${city.url}","aud":"${city.url}","jti":"${random()}","exp":${now + 60}}`;
    const signRaw = async (header, payload) => {
        const text = `${b64(header)}.${b64(payload)}`;
        const { webcrypto } = await import('node:crypto');
        const made = await webcrypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key.privateKey, Buffer.from(text));
        return `${text}.${Buffer.from(made).toString('base64url')}`;
    };
    const tokens = {
        'alg none': `${b64({ alg: 'none' })}.${b64(claims())}.`, 'alg none, signed': `${b64({ alg: 'none', kid: key.kid })}.${b64(claims())}.${sig}`,
        'HS256 with the public key': hmac, 'another payload': `${head}.${b64(claims())}.${sig}`,
        'zero r': `${head}.${b64(claims())}.${Buffer.concat([Buffer.alloc(32), Buffer.from(sig, 'base64url').subarray(32)]).toString('base64url')}`,
        'zero r and s': `${head}.${b64(claims())}.${Buffer.alloc(64).toString('base64url')}`,
        'crit': await signRaw({ alg: 'ES256', kid: key.kid, crit: ['exp'], exp: now }, claims()),
        'a name twice': await signRaw({ alg: 'ES256', kid: key.kid }, duplicate),
        'a name twice in the header': await signRaw(`{"alg":"ES256","alg":"ES256","kid":"${key.kid}"}`, claims()),
        'a key of its own': await assertion(signer.id, city.url, {}, { jwk: other.bare, kid: undefined })(other),
        'five parts': `${head}.a.b.c.${sig}`, 'nothing': 'x', 'dots': '..',
    };
    for (const [why, token] of Object.entries(tokens)) {
        const res = await send(token);
        assert.equal(res.status, 401, `${why}: ${res.text}`);
        assert.equal(res.json.error, 'invalid_client', why);
    }
    assert.equal((await send(await signRaw({ alg: 'ES256', kid: key.kid }, claims()))).status, 200); // the maker itself is sound
    let asked = 0; // keys that a token points to are never fetched
    const web = createServer((req, res) => { asked++; res.end(JSON.stringify({ keys: [other.jwk] })); });
    const port = await new Promise((done) => web.listen(0, '127.0.0.1', () => done(web.address().port)));
    for (const name of ['jku', 'x5u']) {
        const res = await send(await assertion(signer.id, city.url, {}, { [name]: `http://127.0.0.1:${port}/`, kid: other.kid })(other));
        assert.equal(res.status, 401, name);
    }
    assert.equal(asked, 0);
    web.close();
});

for (const alg of ['PS256', 'EdDSA', 'RS256'])
    test(`private_key_jwt with ${alg} ${alg === 'RS256' ? 'is refused' : 'works'}`, async () => {
        const k = await makeKey(alg);
        const made = makeClient(city, own, { key: k });
        if (alg === 'RS256') return assert.rejects(made, /ES256, PS256 or EdDSA/);
        assert.equal((await (await made).token(grant)).status, 200);
    });

test('jwks_uri: read once, kept, read again for a new key; never a private address', async () => {
    let reads = 0, keys = [key.jwk];
    const web = createServer((req, res) => {
        reads++;
        if (req.url === '/away') return res.writeHead(302, { Location: 'http://127.0.0.1:1/' }).end();
        if (req.url === '/large') return res.end('x'.repeat(100000));
        if (req.url === '/slow') return undefined;
        return res.end(JSON.stringify({ keys }));
    });
    const port = await new Promise((done) => web.listen(0, '127.0.0.1', () => done(web.address().port)));
    const rp = await makeClient(city, { ...own, token_endpoint_auth_method: 'private_key_jwt', jwks_uri: `http://127.0.0.1:${port}/keys` });
    rp.key = key;
    for (let i = 0; i < 3; i++) assert.equal((await rp.token(grant)).status, 200);
    assert.equal(reads, 1);
    keys = [other.jwk];
    rp.key = other; // unknown, and asked for a moment ago: not again yet, whoever asks
    fails(await rp.token(grant), 401, 'invalid_client');
    assert.equal(reads, 1);
    for (const at of ['away', 'large', 'slow']) {
        const bad = await makeClient(city, { ...own, token_endpoint_auth_method: 'private_key_jwt', jwks_uri: `http://127.0.0.1:${port}/${at}` });
        bad.key = key;
        fails(await bad.token(grant), 401, 'invalid_client');
    }
    const strict = await startCity();
    reads = 0;
    const refused = await makeClient(strict, { ...own, token_endpoint_auth_method: 'private_key_jwt', jwks_uri: `http://127.0.0.1:${port}/keys` });
    refused.key = key;
    fails(await form(strict, '/oidc/token', { ...grant, ...(await refused.auth()) }), 401, 'invalid_client');
    assert.equal(reads, 0);
    await strict.stop();
    web.closeAllConnections();
    await new Promise((done) => web.close(done));
});

test('scopes, resources and grants that a client does not have', async () => {
    fails(await secret.token({ ...grant, scope: 'api:read admin' }), 400, 'invalid_scope');
    fails(await secret.token({ ...grant, scope: 'openid' }), 400, 'invalid_scope');
    fails(await secret.token({ ...grant, resource: 'https://api.city.example' }), 400, 'invalid_target');
    fails(await secret.token({ grant_type: 'password', username: 'a', password: 'b' }), 400, 'unsupported_grant_type');
    fails(await secret.token({}), 400, 'invalid_request');
    fails(await secret.token({ ...grant, authorization_details: '[{"type":"x"}]' }), 400, 'invalid_authorization_details');
    fails(await server.token(grant), 400, 'unauthorized_client');
    fails(await form(city, '/oidc/token', 'grant_type=client_credentials&grant_type=client_credentials', secret.basic()), 400, 'invalid_request');
    fails(await form(city, '/oidc/token?grant_type=client_credentials', {}, secret.basic()), 400, 'invalid_request');
    fails(await city.post('/oidc/token', grant, { headers: secret.basic() }), 400, 'invalid_request');
    assert.equal((await city.get('/oidc/token')).status, 405);
});

test('authorization_details (RFC 9396) of registered types come back in the answer, the token and introspection', async () => {
    const rp = await makeClient(city, { ...own, access_token_format: 'jwt', authorization_details_types: ['disclosure'] });
    const details = [{ type: 'disclosure', categories: ['allergy'], purpose: 'shelter' }];
    const { status, json } = await rp.token({ ...grant, authorization_details: JSON.stringify(details) });
    assert.equal(status, 200);
    assert.deepEqual(json.authorization_details, details);
    assert.deepEqual(jose.decodeJwt(json.access_token).authorization_details, details);
    assert.deepEqual((await introspect(json.access_token)).authorization_details, details);
    for (const bad of ['{}', '[]', '[{}]', '[{"type":"other"}]', '[{"type":"disclosure","type":"disclosure"}]', 'x'])
        fails(await rp.token({ ...grant, authorization_details: bad }), 400, 'invalid_authorization_details');
});

test('introspection: who may ask about what', async () => {
    const { access_token: token } = (await signer.token({ ...grant, resource: 'https://api.city.example' })).json;
    const mine = await makeClient(city, { grant_types: [], introspection: true, resources: ['https://api.city.example'] });
    const others = await makeClient(city, { grant_types: [], introspection: true, resources: ['https://x.city.example'] });
    assert.equal((await introspect(token, mine)).active, true);
    assert.deepEqual(await introspect(token, others), { active: false });
    assert.deepEqual(await introspect(token, secret), { active: false });
    assert.equal((await signer.call('/oidc/introspect', { token })).json.active, true);
    assert.deepEqual(await introspect('nonsense'), { active: false });
    fails(await form(city, '/oidc/introspect', { token }), 401, 'invalid_client');
    fails(await form(city, '/oidc/introspect', {}, server.basic()), 400, 'invalid_request');
});

test('revocation: only one\'s own, and nothing is told about others', async () => {
    const { access_token: token } = (await secret.token(grant)).json;
    assert.equal((await form(city, '/oidc/revoke', { token }, server.basic())).status, 200);
    assert.equal((await introspect(token)).active, true);
    assert.equal((await form(city, '/oidc/revoke', { token, token_type_hint: 'refresh_token' }, secret.basic())).status, 200);
    assert.deepEqual(await introspect(token), { active: false });
    assert.equal((await form(city, '/oidc/revoke', { token: 'nonsense' }, secret.basic())).status, 200);
});

test('fapi2-security-profile-final-dpop: bound tokens, and proofs that are not good', async () => {
    const rp = await makeClient(city, { ...own, dpop_bound_access_tokens: true }, { key, dpopKey });
    const url = `${city.url}/oidc/token`;
    const missing = await form(city, '/oidc/token', { ...grant, ...(await rp.auth()) });
    fails(missing, 400, 'invalid_dpop_proof');
    const first = await form(city, '/oidc/token', { ...grant, ...(await rp.auth()) }, { DPoP: await proof(dpopKey, { htu: url }) });
    fails(first, 400, 'use_dpop_nonce');
    const nonce = first.headers.get('dpop-nonce');
    assert.ok(nonce && missing.headers.get('dpop-nonce'));
    const send = async (text) => form(city, '/oidc/token', { ...grant, ...(await rp.auth()) }, { DPoP: text });
    const good = await proof(dpopKey, { htu: url, nonce });
    const res = await send(good);
    assert.equal(res.status, 200, res.text);
    assert.equal(res.json.token_type, 'DPoP');
    assert.equal((await introspect(res.json.access_token)).cnf.jkt, await jose.calculateJwkThumbprint(dpopKey.bare));
    fails(await send(good), 400, 'invalid_dpop_proof'); // jti replay
    const now = Math.floor(Date.now() / 1000);
    const bad = {
        'another method': { htm: 'GET', htu: url, nonce }, 'another address': { htu: `${city.url}/oidc/par`, nonce }, 'another host': { htu: 'https://x.example/oidc/token', nonce },
        'a prefix': { htu: `${url}/x`, nonce }, 'no jti': { htu: url, nonce, over: { jti: undefined } }, 'jti a number': { htu: url, nonce, over: { jti: 1 } },
        'no iat': { htu: url, nonce, over: { iat: undefined } }, 'old': { htu: url, nonce, over: { iat: now - 86400 } }, 'future': { htu: url, nonce, over: { iat: now + 3600 } },
        'typ JWT': { htu: url, nonce, header: { typ: 'JWT' } }, 'a private key': { htu: url, nonce, header: { jwk: await jose.exportJWK(dpopKey.privateKey) } },
        'the key of another': { htu: url, nonce, header: { jwk: other.bare } }, 'no key': { htu: url, nonce, header: { jwk: undefined } }, 'a key as text': { htu: url, nonce, header: { jwk: 'x' } },
    };
    for (const [why, how] of Object.entries(bad)) {
        const answer = await send(await proof(dpopKey, how));
        assert.equal(answer.status, 400, why);
        assert.equal(answer.json.error, 'invalid_dpop_proof', `${why} ${answer.text}`);
    }
    fails(await send(await proof(dpopKey, { htu: url, nonce: 'x' })), 400, 'use_dpop_nonce');
    fails(await send('nonsense'), 400, 'invalid_dpop_proof');
    fails(await send(`${await proof(dpopKey, { htu: url, nonce })}, ${await proof(dpopKey, { htu: url, nonce })}`), 400, 'invalid_dpop_proof');
    assert.equal((await send(await proof(dpopKey, { htu: `${url}?q#f`, nonce }))).status, 200); // without query and fragment
});

test('mutual TLS behind a trusted proxy: the header counts from nobody else', async () => {
    const rp = await makeClient(city, { ...own, token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_subject_dn: 'CN=app', tls_client_certificate_bound_access_tokens: true });
    const app = certificate('/CN=app', 'DNS:app.example,IP:192.0.2.7'), stranger = certificate('/CN=stranger', 'DNS:x.example');
    const send = (id, der, from, times = 1, at = city) => new Promise((done, fail) => {
        const header = `:${der.toString('base64')}:`;
        const req = httpRequest(`${at.url}/oidc/token`, { method: 'POST', localAddress: from,
            headers: { 'Content-Type': 'application/x-www-form-urlencoded', 'Client-Cert': times > 1 ? [header, header] : header } }, (res) => {
            let text = '';
            res.on('data', (part) => { text += part; });
            res.on('end', () => done({ status: res.statusCode, json: JSON.parse(text) }));
        });
        req.on('error', fail);
        req.end(new URLSearchParams({ ...grant, client_id: id }).toString());
    });
    const good = await send(rp.id, app, '127.0.0.2');
    assert.equal(good.status, 200, JSON.stringify(good.json));
    assert.equal((await introspect(good.json.access_token)).cnf['x5t#S256'], createHash('sha256').update(app).digest('base64url'));
    for (const [der, from, times] of [[app, '127.0.0.1'], [stranger, '127.0.0.2'], [Buffer.from('x'), '127.0.0.2'], [Buffer.concat([app, app]), '127.0.0.2'], [app, '127.0.0.2', 2]])
        assert.equal((await send(rp.id, der, from, times)).status, 401);
    fails(await form(city, '/oidc/token', { ...grant, client_id: rp.id }), 401, 'invalid_client');
    const named = async (metadata) => (await makeClient(city, { ...own, token_endpoint_auth_method: 'tls_client_auth', ...metadata })).id;
    for (const metadata of [{ tls_client_auth_san_dns: 'app.example' }, { tls_client_auth_san_ip: '192.0.2.7' }]) {
        const id = await named(metadata);
        assert.equal((await send(id, app, '127.0.0.2')).status, 200);
        assert.equal((await send(id, stranger, '127.0.0.2')).status, 401);
    }
    const web = createServer((req, res) => res.end(JSON.stringify({ keys: [{ ...key.jwk, x5c: [app.toString('base64')] }] })));
    const port = await new Promise((done) => web.listen(0, '127.0.0.1', () => done(web.address().port)));
    const remote = await makeClient(city, { ...own, token_endpoint_auth_method: 'self_signed_tls_client_auth', jwks_uri: `http://127.0.0.1:${port}/` });
    assert.equal((await send(remote.id, app, '127.0.0.2')).status, 200);
    assert.equal((await send(remote.id, stranger, '127.0.0.2')).status, 401);
    web.closeAllConnections();
    web.close();
    const strict = await startCity({ args: ['--http.trusted_proxies=127.0.0.2'] }); // nobody said that they hand certificates on
    const there = await makeClient(strict, { ...own, token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_subject_dn: 'CN=app' });
    assert.equal((await send(there.id, app, '127.0.0.2', 1, strict)).status, 401);
    await strict.stop();
    const listed = await makeClient(city, { ...own, token_endpoint_auth_method: 'self_signed_tls_client_auth', jwks: { keys: [{ ...key.jwk, x5c: [app.toString('base64')] }] } });
    assert.equal((await send(listed.id, app, '127.0.0.2')).status, 200);
    assert.equal((await send(listed.id, stranger, '127.0.0.2')).status, 401);
});

test('shared data: a token counts as the key "client:ID", with the policies that it has', async () => {
    const away = { 'X-Forwarded-For': '203.0.113.9' };
    const rp = await makeClient(city, { client_id: 'counter', ...own, scope: 'link api:read' });
    const { access_token: token } = (await rp.token({ ...grant, scope: 'link' })).json;
    const { access_token: other } = (await rp.token({ ...grant, scope: 'api:read' })).json;
    const bearer = (text) => ({ ...away, Authorization: `Bearer ${text}` });
    const make = (n, headers) => city.request('POST', '/ngsi-ld/v1/entities', { body: { id: `urn:ngsi-ld:Shelter:${n}`, type: 'Shelter' }, headers });
    assert.equal((await make(1, bearer(token))).status, 403); // nobody gave it a right
    await city.put('/link/v1/policies/counting', { rules: [{ rights: ['read', 'write'], types: ['Shelter'] }] });
    const key = await city.post('/link/v1/keys', { name: 'client:counter', policies: ['counting'] });
    assert.equal(key.status, 201);
    assert.equal(key.json.key, undefined); // it has no secret
    assert.equal((await make(1, bearer(token))).status, 201);
    const refused = await city.request('POST', '/ngsi-ld/v1/entities', { body: { id: 'urn:ngsi-ld:Car:1', type: 'Car' }, headers: bearer(token) });
    assert.equal(refused.status, 403);
    const scope = await make(2, bearer(other));
    assert.equal(scope.status, 403);
    assert.match(scope.headers.get('www-authenticate'), /insufficient_scope/);
    const bad = await city.get('/ngsi-ld/v1/entities?type=Shelter', bearer('mt_nonsense'));
    assert.equal(bad.status, 401);
    assert.match(bad.headers.get('www-authenticate'), /^Bearer error="invalid_token"/);
    assert.equal((await city.get('/ngsi-ld/v1/entities?type=Shelter', { Authorization: 'Bearer of-somebody-else' })).status, 200);
    await city.delete('/link/v1/keys/client:counter');
    assert.equal((await make(3, bearer(token))).status, 403);
    await city.delete('/link/v1/policies/counting');
    await city.delete('/ngsi-ld/v1/entities/urn:ngsi-ld:Shelter:1');
});

test('shared data with DPoP: the token alone is nothing, with its proof it is', async () => {
    const rp = await makeClient(city, { client_id: 'bound', ...own, scope: 'link', dpop_bound_access_tokens: true, access_token_format: 'jwt' }, { key, dpopKey });
    const { access_token: token } = (await rp.token(grant)).json;
    const target = '/ngsi-ld/v1/types';
    assert.equal((await rp.resource(target, token)).status, 200);
    for (const headers of [{ Authorization: `Bearer ${token}` }, { Authorization: `DPoP ${token}` }]) {
        const res = await city.get(target, headers);
        assert.equal(res.status, 401);
        assert.match(res.headers.get('www-authenticate'), /^DPoP error=/);
        assert.ok(res.headers.get('dpop-nonce'));
    }
});

test('kill -9: a token that was given is good afterwards, one that was revoked is not, a jti stays used', async () => {
    const { access_token: kept } = (await secret.token(grant)).json;
    const { access_token: ended } = (await secret.token(grant)).json;
    const once = { ...grant, ...(await signer.auth()) };
    assert.equal((await form(city, '/oidc/token', once)).status, 200);
    assert.equal((await form(city, '/oidc/revoke', { token: ended }, secret.basic())).status, 200);
    const keys = (await city.get('/oidc/jwks')).text, port = city.port;
    await city.kill();
    city = await startCity({ data: folder, args, port, store: city.store });
    assert.equal((await introspect(kept)).active, true);
    assert.deepEqual(await introspect(ended), { active: false });
    fails(await form(city, '/oidc/token', once), 401, 'invalid_client');
    assert.equal((await city.get('/oidc/jwks')).text, keys);
});

await run(async () => {
    await city.stop();
    rmSync(folder, { recursive: true, force: true });
});
