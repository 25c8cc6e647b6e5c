#!/usr/bin/env node
// Debian's Apache modules as the other side: mod_auth_openidc is a relying party (code flow, PKCE, private_key_jwt or a
// secret, back-channel logout), mod_oauth2 a resource server (introspection; JWT by our keys).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get as httpGet } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventually } from '../lib/city.mjs';
import { browser, makeClient, makeKey, startCityWithPeople } from '../lib/oidc.mjs';
import { run, test } from '../lib/tap.mjs';

const modules = '/usr/lib/apache2/modules';
const missing = ['mod_auth_openidc.so', 'mod_oauth2.so'].filter((name) => !existsSync(path.join(modules, name)));
if (missing.length) {
    console.log(`1..0 # SKIP no ${missing.join(', ')} on this machine`);
    process.exit(0);
}
const folder = mkdtempSync(path.join(tmpdir(), 'marugoto-apache-'));
chmodSync(folder, 0o755); // Apache's own account reads it
const running = [];

async function startApache(name, port, lines) {
    const dir = path.join(folder, name);
    for (const sub of ['protected', 'api', 'jwt', 'bound']) mkdirSync(path.join(dir, 'www', sub), { recursive: true });
    for (const sub of ['protected', 'api', 'jwt', 'bound']) writeFileSync(path.join(dir, 'www', sub, 'index.html'), `inside ${sub}\n`);
    const load = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'dir', 'auth_openidc', 'oauth2'].map((m) => `LoadModule ${m === 'auth_openidc' ? 'auth_openidc' : m}_module ${modules}/mod_${m}.so`);
    writeFileSync(path.join(dir, 'httpd.conf'), [...load, `ServerRoot ${dir}`, `PidFile ${dir}/pid`, `ErrorLog ${dir}/error.log`, 'LogLevel warn', 'Mutex sem',
        `DefaultRuntimeDir ${dir}`, 'ServerName 127.0.0.1', `Listen 127.0.0.1:${port}`, 'StartServers 1', `DocumentRoot ${dir}/www`, 'DirectoryIndex index.html',
        ...(process.getuid() === 0 ? ['User www-data', 'Group www-data'] : []), ...lines].join('\n'));
    rmSync(path.join(dir, 'pid'), { force: true });
    const child = spawn('/usr/sbin/apache2', ['-X', '-f', path.join(dir, 'httpd.conf')], { stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (text) => { errors += text; });
    running.push(child);
    process.once('exit', () => child.kill('SIGKILL'));
    const url = `http://127.0.0.1:${port}`;
    await eventually(async () => {
        if (child.exitCode !== null) throw new Error(`apache ended: ${errors}`);
        return fetch(url).then(() => true, () => false);
    }, 30000);
    return { url, dir };
}

const [rpPort, rsPort] = [20000, 30000].map((from) => from + Math.floor(Math.random() * 9000));
const city = await startCityWithPeople([1, 1], { args: ['--allow-private', '--oidc.sweep_ms=200'] });
const back = `http://127.0.0.1:${rpPort}/protected/back`;
const web = { client_name: 'Apache', redirect_uris: [back], sandbox: true, scope: 'openid', consent: 'none', backchannel_logout_uri: `${back}?logout=backchannel` };
const relying = await makeClient(city, web);
const server = await makeClient(city, { grant_types: [], introspection: true });
const key = await makeKey();
const own = { grant_types: ['client_credentials'], scope: 'api' };
const opaque = await makeClient(city, own), jwt = await makeClient(city, { ...own, access_token_format: 'jwt' });
const bound = await makeClient(city, { ...own, access_token_format: 'jwt', dpop_bound_access_tokens: true }, { key, dpopKey: key });

const rp = await startApache('rp', rpPort, [
    `OIDCProviderMetadataURL ${city.url}/.well-known/openid-configuration`, `OIDCClientID ${relying.id}`, `OIDCClientSecret ${relying.secret}`,
    'OIDCProviderTokenEndpointAuth client_secret_basic', `OIDCRedirectURI ${back}`, 'OIDCCryptoPassphrase a-passphrase-of-the-test', 'OIDCPKCEMethod S256', 'OIDCScope openid',
    '<Location /protected>', 'AuthType openid-connect', 'Require valid-user', '</Location>',
]);
const rs = await startApache('rs', rsPort, [
    '<Location /api>', 'AuthType oauth2', `OAuth2TokenVerify introspect ${city.url}/oidc/introspect introspect.auth=client_secret_basic&client_id=${server.id}&client_secret=${server.secret}`, 'Require valid-user', '</Location>',
    '<Location /jwt>', 'AuthType oauth2', `OAuth2TokenVerify jwks_uri ${city.url}/oidc/jwks`, 'Require valid-user', '</Location>',
]);

// As a browser goes to a page: fetch() would say Sec-Fetch-Mode: cors, which is answered with 401 there.
const visit = (at, headers) => new Promise((done, fail) => {
    httpGet(at, { headers }, (res) => {
        let text = '';
        res.setEncoding('utf8').on('data', (part) => { text += part; });
        res.on('end', () => done({ status: res.statusCode, headers: res.headers, text }));
    }).on('error', fail);
});

// A browser with the cookies of both sides.
function surfer(person) {
    const jar = new Map([[city.url, `session=${person.cookie}`]]);
    return async (target) => {
        let at = new URL(target);
        for (let turn = 0; turn < 12; turn++) {
            const res = await visit(at, { Cookie: jar.get(at.origin) ?? '', Accept: 'text/html' });
            const known = new Map((jar.get(at.origin) ?? '').split('; ').filter(Boolean).map((pair) => pair.split(/=(.*)/s)));
            for (const line of res.headers['set-cookie'] ?? []) {
                const [name, value] = line.split(';')[0].split(/=(.*)/s);
                known.set(name, value);
            }
            jar.set(at.origin, [...known].map(([name, value]) => `${name}=${value}`).join('; '));
            const to = res.headers.location;
            if (!to) return { status: res.status, url: at, text: res.text };
            at = new URL(to, at);
        }
        throw new Error('too many redirects');
    };
}

test('mod_auth_openidc: somebody who is signed in at the city gets in, by the code flow with PKCE', async () => {
    const go = surfer(city.people[0]);
    const seen = await go(`${rp.url}/protected/`);
    assert.equal(seen.status, 200, seen.text);
    assert.equal(seen.text, 'inside protected\n');
    assert.equal((await go(`${rp.url}/protected/`)).status, 200);
});

test('mod_auth_openidc: whoever is not signed in is led to the city\'s sign-in page', async () => {
    const go = surfer({ cookie: 'nobody' });
    const seen = await go(`${rp.url}/protected/`);
    assert.equal(seen.url.origin, city.url);
    assert.match(seen.url.pathname, /sign-in$/);
});

test('mod_auth_openidc: a sign-out at the city ends its session too (back-channel logout)', async () => {
    const [, person] = city.people;
    const go = surfer(person);
    assert.equal((await go(`${rp.url}/protected/`)).status, 200);
    const me = browser(city, person);
    me.pages = true;
    const ask = await me.go('/oidc/logout');
    const [, token] = /name="token" value="([^"]+)"/.exec(ask.text);
    await me.go('/oidc/logout', { method: 'POST', params: { token } });
    await eventually(async () => (await go(`${rp.url}/protected/`)).url.origin === city.url, 60000, 200);
});

const get = (at, token, scheme = 'Bearer') => fetch(at, { headers: token ? { Authorization: `${scheme} ${token}` } : {} });

test('mod_oauth2: opaque tokens by introspection', async () => {
    const { access_token: token } = (await opaque.token({ grant_type: 'client_credentials' })).json;
    const { access_token: ended } = (await opaque.token({ grant_type: 'client_credentials' })).json;
    assert.equal((await opaque.call('/oidc/revoke', { token: ended })).status, 200);
    assert.equal((await get(`${rs.url}/api/`, token)).status, 200);
    for (const bad of [undefined, 'mt_nonsense', ended]) assert.equal((await get(`${rs.url}/api/`, bad)).status, 401, bad);
});

test('mod_oauth2: JWT access tokens by our keys', async () => {
    const { access_token: token } = (await jwt.token({ grant_type: 'client_credentials' })).json;
    assert.equal((await get(`${rs.url}/jwt/`, token)).status, 200);
    const [head, body, sig] = token.split('.');
    const other = Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(body, 'base64url')), scope: 'admin' })).toString('base64url');
    for (const bad of [`${head}.${other}.${sig}`, `${head}.${body}.`, `${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.`])
        assert.equal((await get(`${rs.url}/jwt/`, bad)).status, 401);
    assert.ok((await bound.token({ grant_type: 'client_credentials' })).json.access_token);
});

await run(async () => {
    for (const child of running) child.kill('SIGTERM');
    await city.stop();
    rmSync(folder, { recursive: true, force: true });
});
