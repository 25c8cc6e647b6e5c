#!/usr/bin/env node
// Malformed and hostile input for each operation of /openapi.json and for the pages: the answer is
// never a failure of the server (5xx), errors have the protocol's form, the process lives and the
// sanitizers stay silent.
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { test, run } from '../lib/tap.mjs';
import { startCity } from '../lib/city.mjs';

const city = await startCity({ args: ['--http.connections_per_client=0', '--oidc.issuer=https://city.example'] });
const api = (await city.get('/openapi.json')).json;
const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });

// The stream never ends and has its own cases below.
const operations = Object.entries(api.paths).flatMap(([path, item]) => Object.keys(item).map((method) => ({ method: method.toUpperCase(), path })))
    .filter(({ path }) => path !== '/link/v1/stream');
const pages = ['', '/map', '/data', '/data/{type}', '/e/{id}', '/e/{id}/panel', '/now', '/about', '/console', '/console/login',
    '/sign-in', '/register', '/enrol', '/my', '/my/ways', '/desk',
    '/console/sources', '/console/subscriptions', '/console/subscriptions/{id}', '/console/nodes', '/console/keys', '/console/policies', '/console/import', '/console/import/{n}', '/console/import/{n}/progress']
    .map((path) => ({ method: 'GET', path: `/ja${path}` }))
    .concat(['/', '/assets/{name}', '/manifest.webmanifest', '/icon.svg', '/favicon.ico'].map((path) => ({ method: 'GET', path })));
const writing = operations.filter(({ method }) => ['POST', 'PUT', 'PATCH'].includes(method));

const plain = (path) => path.replace(/\{[zxyn]\}/g, '0').replace('{id}', 'urn:x:there').replace('{type}', 'There').replace(/\{[^}]*\}/g, 'n');

// One request with any bytes; a connection that is closed instead of answered is status 0.
function send(method, target, { headers = {}, body } = {}) {
    return new Promise((done) => {
        const req = http.request({ host: '127.0.0.1', port: city.port, method, path: target, headers, agent, timeout: 20000 }, (res) => {
            const pieces = [];
            res.on('data', (piece) => pieces.push(piece));
            res.on('end', () => done({ status: res.statusCode, headers: res.headers, text: Buffer.concat(pieces).toString() }));
            res.on('error', () => done({ status: 0 }));
        });
        req.on('timeout', () => req.destroy());
        req.on('error', () => done({ status: 0 }));
        req.end(body);
    });
}

function judge(answer, what) {
    assert.notEqual(answer.status, 0, `${what}: no answer`);
    assert.ok(answer.status < 500, `${what}: ${answer.status} ${answer.text}`);
    if (answer.status < 400) return;
    if ([411, 415].includes(answer.status) && what.includes(' /ngsi-ld/')) { // clause 6.3.4: just the status
        assert.equal(answer.text, '', what);
        return;
    }
    if (answer.status === 401 && what.includes(' /oidc/userinfo')) { // RFC 6750 section 3: it stands in the header
        assert.match(answer.headers['www-authenticate'], /^Bearer|^DPoP/, what);
        return;
    }
    const type = answer.headers['content-type'] ?? '';
    if (/^application\/(problem\+)?json/.test(type)) {
        const problem = JSON.parse(answer.text);
        if (Array.isArray(problem.errors)) return; // a batch reports each entity
        // NGSIv2 and OAuth (RFC 6749 section 5.2) have forms of their own
        if (/ \/(v2|oidc\/)/.test(what) && typeof problem.error === 'string') return;
        assert.equal(problem.status, answer.status, `${what}: ${answer.text}`);
        assert.ok(problem.title && problem.type, `${what}: ${answer.text}`);
    } else {
        assert.match(type, /^text\/html/, `${what}: ${answer.status} ${type} ${answer.text}`);
    }
}

// All cases, a few at once.
async function all(cases) {
    let at = 0;
    const faults = [];
    await Promise.all(Array.from({ length: 8 }, async () => {
        while (at < cases.length) {
            const { method, target, options, what } = cases[at++];
            try {
                judge(await send(method, target, options), `${method} ${target.slice(0, 120)} (${what})`);
            } catch (error) {
                faults.push(error.message);
            }
        }
    }));
    assert.ok(cases.length > 0);
    assert.equal(faults.length, 0, `${faults.length} of ${cases.length}: ${faults.slice(0, 10).join('\n')}`);
    assert.equal((await city.get('/healthz')).status, 200);
    assert.doesNotMatch(city.errors, /Sanitizer|runtime error/);
}

const entity = (more) => JSON.stringify({ id: 'urn:x:hostile', type: 'Hostile', ...more });
const bodies = {
    nothing: '', brace: '{', bracket: '[', quote: '"', 'half a member': '{"a":}', 'half a word': 'nul', 'NUL bytes': '\0\0\0', number: '5', null: 'null',
    text: '"x"', 'empty object': '{}', 'empty array': '[]', 'array of nulls': '[null,null]', 'array of arrays': '[[[]]]', 'two values': '{}{}',
    'duplicate keys': '{"id":"urn:x:a","id":"urn:x:b","type":"T"}', 'lone surrogate': '{"id":"urn:x:\\ud800","type":"T"}', 'bad escape': '{"a":"\\x"}',
    'control characters': '{"a":"\u0001"}', 'huge number': entity({ a: { type: 'Property', value: '@' } }).replace('"@"', '1e999999999'),
    'long number': entity({ a: { type: 'Property', value: '@' } }).replace('"@"', '9'.repeat(100000)),
    'deep arrays': '['.repeat(100000), 'deep objects': '{"a":'.repeat(100000), 'deep and closed': '['.repeat(5000) + ']'.repeat(5000),
    'deep value': entity({ a: { type: 'Property', value: '@' } }).replace('"@"', '['.repeat(300) + ']'.repeat(300)),
    'deep sub-attributes': entity({}).replace('}', `${',"a":{"type":"Property","value":1'.repeat(300)}${'}'.repeat(300)}}`),
    'invalid UTF-8': Buffer.concat([Buffer.from('{"id":"urn:x:'), Buffer.from([0xff, 0xc0, 0x80, 0xed, 0xa0, 0x80]), Buffer.from('","type":"T"}')]),
    'UTF-16': Buffer.from('\ufeff{"id":"urn:x:a","type":"T"}', 'utf16le'), BOM: '\ufeff{"id":"urn:x:a","type":"T"}',
    'id is a number': '{"id":5,"type":"T"}', 'id is no URI': '{"id":"no uri","type":"T"}', 'type is an object': '{"id":"urn:x:a","type":{}}',
    'type is empty': '{"id":"urn:x:a","type":[]}', 'attribute without value': entity({ a: { type: 'Property' } }), 'attribute is null': entity({ a: null }),
    'attribute of no type': entity({ a: { type: 'Nothing', value: 1 } }), 'no such point': entity({ location: { type: 'GeoProperty', value: { type: 'Point', coordinates: [999, -999] } } }),
    'no such geometry': entity({ location: { type: 'GeoProperty', value: { type: 'Polygon', coordinates: [[[0, 0], [1, 1]]] } } }),
    'no such moment': entity({ a: { type: 'Property', value: 1, observedAt: '2024-99-99T99:99:99Z' } }), 'relationship to a number': entity({ a: { type: 'Relationship', object: 5 } }),
    'language map of numbers': entity({ a: { type: 'LanguageProperty', languageMap: { ja: 5, '': null } } }), 'name is empty': entity({ '': { type: 'Property', value: 1 } }),
    'names like keywords': entity({ __proto__x: 1, '@id': 'urn:x:b', '@type': 5, '@context': 5 }), 'a thousand attributes': entity(Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`a${i}`, { type: 'Property', value: i }]))),
    'subscription to nothing': '{"type":"Subscription"}', 'subscription to itself': JSON.stringify({ type: 'Subscription', entities: [{ type: 'T', idPattern: '(((' }], q: '((((', notification: { endpoint: { uri: 'file:///etc/passwd' } } }),
    'subscription with numbers': JSON.stringify({ type: 'Subscription', entities: 5, watchedAttributes: {}, notification: [], throttling: -1, expiresAt: 'never' }),
    'query of wrong kinds': JSON.stringify({ type: 'Query', entities: [{ type: 5 }], attrs: 'a', q: 5, geoQ: { georel: 'near' }, temporalQ: { timerel: 'during' } }),
    'context of wrong kinds': JSON.stringify({ '@context': [5, null, { a: { '@id': 5 } }, { a: 'a' }, { b: 'c', c: 'b' }] }),
};

test('an entity to ask for', async () => {
    assert.equal((await city.post('/ngsi-ld/v1/entities', { id: 'urn:x:there', type: 'There', n: { type: 'Property', value: 1 } })).status, 201);
});

for (const [group, some] of [['NGSI-LD', writing.filter(({ path }) => path.startsWith('/ngsi-ld'))], ['other', writing.filter(({ path }) => !path.startsWith('/ngsi-ld'))]])
    test(`bodies, ${group} operations`, () => all(some.flatMap(({ method, path }) => Object.entries(bodies).flatMap(([what, body]) =>
        ['application/json', 'application/ld+json'].map((type) => ({ method, target: plain(path), what: `${what}, ${type}`, options: { body, headers: { 'Content-Type': type } } }))))));

const types = ['', 'text/plain', 'application/xml', 'application/json; charset=utf-16', 'application/json;;;=', 'multipart/form-data', 'multipart/form-data; boundary=',
    'multipart/form-data; boundary="' + 'b'.repeat(300) + '"', 'application/x-www-form-urlencoded', 'a'.repeat(1000), '/', 'application/merge-patch+json', 'text/csv'];
test('content types', () => all(writing.flatMap(({ method, path }) => types.map((type) => ({ method, target: plain(path), what: `type ${type.slice(0, 50)}`,
    options: { body: '--b\r\n\r\n{}', headers: type ? { 'Content-Type': type } : {} } })))));

test('bodies over the limit are refused with 413', async () => {
    for (const { method, path } of writing) {
        if (path === '/link/v1/import') continue; // takes files
        const answer = await send(method, plain(path), { body: Buffer.alloc(4 * 1024 * 1024 + 1, ' '), headers: { 'Content-Type': 'application/json' } });
        assert.ok(answer.status === 413 || answer.status === 0, `${method} ${path}: ${answer.status}`); // 0: closed while we were still sending
        const told = await send(method, plain(path), { headers: { 'Content-Type': 'application/json', 'Content-Length': '99999999999', Expect: '100-continue' } });
        assert.equal(told.status, 413, `${method} ${path} announced`);
    }
});

const queries = {
    'percent alone': '%', 'half an escape': 'q=%4', 'no escape': 'type=%zz', NUL: 'id=%00', 'invalid UTF-8': 'type=%ff%fe&q=%c0%80', 'only separators': '&'.repeat(300),
    'only marks': '?'.repeat(4000), 'no names': '=&=&=x', 'very many': Array.from({ length: 300 }, (_, i) => `a${i}`).join('&'), 'the same often': 'type=T&'.repeat(300),
    'q nested': `type=There&q=${'('.repeat(3000)}`, 'q closed': `type=There&q=${'('.repeat(1000)}a==1${')'.repeat(1000)}`, 'q long': `type=There&q=${'a==1;'.repeat(1500)}b`, 'q cut': 'type=There&q=a==', 'q pattern': 'type=There&q=a~=(a%2B)%2B$',
    'q brackets': 'type=There&q=a[[[[', 'limit below': 'type=There&limit=-1', 'limit above': 'type=There&limit=99999999999999999999', 'limit real': 'type=There&limit=1.5', 'limit empty': 'type=There&limit=', 'offset above': 'type=There&offset=9223372036854775807',
    'bad pattern': 'type=There&idPattern=(((', 'catastrophic pattern': 'idPattern=(a*)*(a*)*(a*)*b$&type=There', 'bad options': 'options=bogus,,,&format=x', 'empty lists': 'attrs=,,,&pick=,&omit=,,', 'types nested': `type=${'('.repeat(3000)}`,
    'near nothing': 'type=There&georel=near&geometry=Point&coordinates=[[[[', 'near far': 'type=There&georel=near;maxDistance==-1&geometry=Point&coordinates=[1e999,0]', 'within a line': 'type=There&georel=within&geometry=LineString&coordinates=[[0,0],[1,1]]',
    'coordinates deep': `type=There&georel=within&geometry=Polygon&coordinates=${'['.repeat(5000)}`, 'no such time': 'timerel=between&timeAt=x&endTimeAt=y', 'time backwards': 'type=There&timerel=between&timeAt=2024-01-02T00:00:00Z&endTimeAt=2023-01-01T00:00:00Z',
    'no such period': 'type=There&timerel=after&timeAt=2024-01-01T00:00:00Z&aggrMethods=avg,nope&aggrPeriodDuration=P-1D&options=aggregatedValues', 'tiny period': 'type=There&timerel=after&timeAt=1970-01-01T00:00:00Z&aggrMethods=avg&aggrPeriodDuration=PT0.000001S&options=aggregatedValues',
    'last below': 'type=There&timerel=before&timeAt=2024-01-01T00:00:00Z&lastN=-5', scope: `type=There&scopeQ=${'/a'.repeat(3000)}`, 'scope signs': 'type=There&scopeQ=;;,,%23%23++', language: 'type=There&lang=' + 'x-'.repeat(2000), 'csv injection': 'type==cmd|x', traversal: 'type=../../../etc/passwd&kind=..%2f..', 'long value': 'type=' + 'x'.repeat(12000),
};
test('queries', () => all([...operations, ...pages].flatMap(({ method, path }) => Object.entries(queries).map(([what, query]) =>
    ({ method, target: `${plain(path)}?${query}`, what, options: writing.some((one) => one.path === path && one.method === method) ? { body: '{}', headers: { 'Content-Type': 'application/json' } } : {} })))));

const parts = ['%', '%zz', '%0', '%00', '%ff', '%c0%af', '..', '%2e%2e%2f%2e%2e', '..%2f..%2fetc%2fpasswd', '%0d%0aX:%20y', '{}', '*', '-1', '99999999999999999999', '0x10', '%20', 'a'.repeat(3000), '%e3%81', '%f0%9f%97%be', "'--", '%3Cscript%3E'];
test('path parts', () => all([...operations, ...pages].filter(({ path }) => path.includes('{')).flatMap(({ method, path }) => parts.map((part) =>
    ({ method, target: path.replace(/\{[^}]*\}/g, part), what: 'part', options: writing.some((one) => one.path === path && one.method === method) ? { body: '{}', headers: { 'Content-Type': 'application/json' } } : {} })))));

const headers = [{ Accept: 'application/' }, { Accept: ',;q=' + 'x'.repeat(3000) }, { Accept: 'image/png' }, { Accept: '*/*;q=0' }, { 'NGSILD-Tenant': '../../x' }, { 'NGSILD-Tenant': 'x'.repeat(1000) }, { 'NGSILD-Tenant': "'; DROP TABLE entity" },
    { Link: '<' }, { Link: '<>; rel="http://www.w3.org/ns/json-ld#context"' }, { Link: '<urn:x:y>; rel="http://www.w3.org/ns/json-ld#context"' }, { Link: '<file:///etc/passwd>; rel="http://www.w3.org/ns/json-ld#context"' }, { 'If-Match': '"' }, { 'If-None-Match': '*' }, { 'If-Match': 'W/"' + 'x'.repeat(2000) },
    { 'If-Modified-Since': 'never' }, { Range: 'bytes=-' }, { Range: 'bytes=9-1,0-0,99999999999999999999-' }, { 'Accept-Encoding': 'gzip;q=x, *;q=-1' }, { 'Accept-Language': '-'.repeat(3000) }, { Cookie: '=;'.repeat(200) }, { 'X-Forwarded-For': 'x' }, { 'X-Forwarded-Proto': 'ftp' }, { Host: 'a'.repeat(3000) },
    { Origin: 'null' }, { Origin: 'http://' + 'x'.repeat(2000) }, { Authorization: 'Basic ===' }, { 'Content-Encoding': 'gzip' }, { 'Last-Event-ID': '-1' }, { Expect: 'the unexpected' }];
// A remote @context that cannot be had is 504 by the specification, hence the filter.
test('headers', () => all([...operations, ...pages].flatMap(({ method, path }) => headers.filter(({ Link }) => !Link?.includes('file:') && !Link?.includes('urn:')).map((some) =>
    ({ method, target: plain(path), what: JSON.stringify(some).slice(0, 80), options: { headers: some } })))));

test('an @context that is no web address is refused and not fetched', async () => {
    for (const url of ['file:///etc/passwd', 'urn:x:y', 'ftp://127.0.0.1/', 'http://127.0.0.1:1/c', 'http://[::1]:1/c', 'http://169.254.169.254/latest', 'http://localhost:1/', 'http://0x7f000001/'])
        for (const answer of [await send('GET', '/ngsi-ld/v1/entities?type=There', { headers: { Link: `<${url}>; rel="http://www.w3.org/ns/json-ld#context"` } }),
            await send('POST', '/ngsi-ld/v1/entities', { body: entity({ '@context': url }), headers: { 'Content-Type': 'application/ld+json' } })]) {
            assert.ok([400, 503, 504].includes(answer.status), `${url}: ${answer.status} ${answer.text}`);
            assert.doesNotMatch(answer.text, /root:/);
        }
});

// Bytes that no HTTP library would send.
function raw(bytes) {
    return new Promise((done) => {
        let text = '';
        const socket = net.connect(city.port, '127.0.0.1', () => socket.write(bytes));
        const timer = setTimeout(() => socket.destroy(), 1500);
        socket.on('data', (piece) => {
            text += piece;
            if (/\r\n\r\n/.test(text)) setTimeout(() => socket.destroy(), 100);
        });
        socket.on('error', () => {});
        socket.on('close', () => {
            clearTimeout(timer);
            done(text);
        });
    });
}

test('no length where a body is needed: 411 without a body', async () => {
    for (const line of ['POST /ngsi-ld/v1/entities', 'PATCH /ngsi-ld/v1/entities/urn:a:b/attrs', 'PUT /ngsi-ld/v1/entities/urn:a:b']) {
        for (const rest of ['\r\n', 'Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n', 'NGSILD-Tenant: nowhere\r\n\r\n', 'NGSILD-Snapshot: urn:ngsi-ld:Snapshot:none\r\n\r\n']) {
            const text = await raw(`${line} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${rest}`);
            assert.match(text, /^HTTP\/1\.1 411 /, line + rest);
            assert.match(text, /\r\n\r\n$/, line + rest);
        }
    }
});

test('request lines, headers and framing that are none', async () => {
    const post = 'POST /ngsi-ld/v1/entities HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';
    const refused = [`${post}Content-Length: 5\r\nContent-Length: 6\r\n\r\n{"a":1}`, `${post}Content-Length: -1\r\n\r\n`, `${post}Content-Length: 5x\r\n\r\n{}   `,
        `${post}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, `${post}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`,
        `${post}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`, `${post}Transfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n0\r\n\r\n`, `${post}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}`,
        'GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n', 'GET /healthz HTTP/1.1\r\n\r\n', 'GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 'GET /heal thz HTTP/1.1\r\nHost: x\r\n\r\n',
        'GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n', '\0\0\0\0\r\n\r\n', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'GET\r\n\r\n', `GET /${'a'.repeat(70000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
        `GET /healthz HTTP/1.1\r\nHost: x\r\n${'X-A: b\r\n'.repeat(9000)}\r\n`, 'GET ../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n', 'CONNECT localhost:22 HTTP/1.1\r\nHost: x\r\n\r\n', 'TRACE /healthz HTTP/1.1\r\nHost: x\r\n\r\n',
        `${'A'.repeat(5000)} /healthz HTTP/1.1\r\nHost: x\r\n\r\n`];
    for (const bytes of refused) {
        const text = await raw(bytes);
        assert.ok(text === '' || /^HTTP\/1\.[01] (4\d\d|505|501)/.test(text), `${JSON.stringify(bytes.slice(0, 100))}: ${text.slice(0, 200)}`);
    }
    for (const bytes of ['GET /healthz HTTP/1.1\r\n\r\n', 'GET /heal thz HTTP/1.1\r\nHost: x\r\n\r\n', 'GET /healthz?a= b HTTP/1.1\r\nHost: x\r\n\r\n', 'GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n',
        'GET /healthz HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n', `${post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`]) {
        const text = await raw(bytes);
        assert.match(text, /^HTTP\/1\.1 400 [^]*application\/(problem\+)?json[^]*\{"type":"about:blank"[^]*\}$/, `${JSON.stringify(bytes)}: ${text}`);
        assert.match(text, /connection: close/i, bytes);
    }
    assert.match(await raw('GET /healthz HTTP/1.0\r\n\r\n'), /^HTTP\/1\.[01] 200 /);
    assert.equal((await city.get('/healthz')).status, 200);
});

test('thousands of query parameters get an answer', async () => {
    const begin = Date.now();
    for (const many of [Array.from({ length: 2000 }, (_, i) => `a${i}=1`), Array(4000).fill('a'), Array(7000).fill('')])
        assert.equal((await city.get(`/ngsi-ld/v1/entities?type=T&${many.join('&')}`)).status, many[0] ? 400 : 200);
    assert.ok(Date.now() - begin < 5000);
});

// libmicrohttpd gives up on them in its own way: refused, or closed, at the latest at the deadline.
test('more cookies than a connection has memory for', async () => {
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => send('GET', '/healthz', { headers: { Cookie: '=;'.repeat(2000) } })));
    for (const { status } of outcomes) assert.ok(status === 0 || (status >= 400 && status < 500), `status ${status}`);
    assert.equal((await city.get('/healthz')).status, 200);
});

test('streams with absurd wishes', async () => {
    for (const query of ['type=((', 'q=((((', 'tenant=../x', 'idPattern=(((', 'x=y', '%zz', 'attrs=,,,'])
        for (const some of [{ Accept: 'text/event-stream', 'Last-Event-ID': 'nonsense' }, { Accept: 'text/event-stream', 'Last-Event-ID': '99999999999999999999' },
            { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '12', 'Sec-WebSocket-Key': '' }, { Connection: 'Upgrade', Upgrade: 'h2c' }]) {
            const lines = Object.entries(some).map(([name, value]) => `${name}: ${value}\r\n`).join('');
            const text = await raw(`GET /link/v1/stream?${query} HTTP/1.1\r\nHost: x\r\n${lines}\r\n`);
            assert.match(text, /^HTTP\/1\.1 (1|2|4)\d\d/, `${query} ${JSON.stringify(some)}: ${text.slice(0, 300)}`);
        }
    assert.equal((await city.get('/healthz')).status, 200);
});

test('nothing was reported by the sanitizers, and the city stops as it should', async () => {
    assert.doesNotMatch(city.errors, /Sanitizer|runtime error/);
    const end = await city.stop();
    assert.equal(end.code, 0);
});

await run(() => agent.destroy());
