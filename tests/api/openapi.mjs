#!/usr/bin/env node
// /openapi.json: a valid description of what is served, and nothing else.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { startCity } from '../lib/city.mjs';

const city = await startCity();
const { status, headers, json: api } = await city.get('/openapi.json');
const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'];
const operations = Object.entries(api?.paths ?? {}).flatMap(([path, item]) =>
    Object.entries(item).filter(([key]) => methods.includes(key)).map(([method, operation]) => ({ path, method, operation })));

test('it is OpenAPI 3.1 in shape', () => {
    assert.equal(status, 200);
    assert.match(headers.get('content-type'), /^application\/json/);
    assert.match(api.openapi, /^3\.1\.\d+$/);
    assert.ok(api.info.title);
    assert.match(api.info.version, /^\d+\.\d+\.\d+$/);
    for (const [path, item] of Object.entries(api.paths)) {
        assert.match(path, /^\//);
        for (const key of Object.keys(item)) assert.ok(methods.includes(key), `${path}: ${key}`);
        const names = [...path.matchAll(/\{([^}]*)\}/g)].map((match) => match[1]);
        names.forEach((name) => assert.match(name, /^[A-Za-z]\w*$/, path));
        assert.equal(new Set(names).size, names.length, path);
        for (const operation of Object.values(item)) {
            assert.deepEqual(operation.parameters.map((parameter) => parameter.name), names, path);
            for (const parameter of operation.parameters) {
                assert.equal(parameter.in, 'path');
                assert.equal(parameter.required, true);
                assert.ok(['string', 'integer'].includes(parameter.schema.type));
            }
            assert.ok(Object.keys(operation.responses).length > 0, path);
            for (const response of Object.values(operation.responses)) assert.ok(response.description);
        }
    }
    // Two templates that differ in names only would be the same path.
    const shapes = Object.keys(api.paths).map((path) => path.replace(/\{[^}]*\}/g, '{}'));
    assert.equal(new Set(shapes).size, shapes.length);
});

test('every operation has a summary and a tag', () => {
    assert.ok(operations.length > 50, `${operations.length} operations`);
    const bare = operations.filter(({ operation }) => !operation.summary || !operation.tags?.length)
        .map(({ method, path }) => `${method} ${path}`);
    assert.deepEqual(bare, []);
});

test('every operation is there: no route that is described answers 404 for want of a route or 405', async () => {
    for (const { path, method } of operations) {
        if (path === '/link/v1/stream') continue; // never ends; commands.mjs opens it
        const target = path.replace(/\{[zxyn]\}/g, '0').replace(/\{[^}]*\}/g, 'urn:x:none');
        const answer = await city.request(method.toUpperCase(), target, method === 'get' ? {} : { body: {} });
        assert.notEqual(answer.status, 405, `${method} ${target}`);
        assert.notEqual(answer.status, 501, `${method} ${target}`);
        assert.ok(answer.status < 500, `${method} ${target}: ${answer.status} ${answer.text}`);
        if (answer.status === 404) assert.doesNotMatch(answer.text, /there is no such page/, `${method} ${target}`);
    }
});

test('other methods of described paths are refused with Allow', async () => {
    for (const [path, item] of Object.entries(api.paths)) {
        const target = path.replace(/\{[zxyn]\}/g, '0').replace(/\{[^}]*\}/g, 'urn:x:none');
        for (const method of ['get', 'put', 'post', 'delete', 'patch'].filter((name) => !item[name])) {
            const answer = await city.request(method.toUpperCase(), target, ['get', 'delete'].includes(method) ? {} : { body: {} });
            assert.equal(answer.status, 405, `${method} ${target}: ${answer.status}`);
            const allowed = answer.headers.get('allow').split(/, */).map((name) => name.toLowerCase());
            for (const name of Object.keys(item)) assert.ok(allowed.includes(name), `${target}: ${allowed}`);
        }
    }
});

await run(() => city.stop());
