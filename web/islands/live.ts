// The stream of changes (/link/v1/stream, Server-Sent Events) as plain objects.

export interface Change {
    op: 'created' | 'updated' | 'deleted';
    id: string;
    type: string;
    name: string;
    status: string;
    changed: string[];
    point: [number, number] | undefined;
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

function member(value: Json | undefined, key: string): Json | undefined {
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? value[key] : undefined;
}

// An attribute's value whatever the representation: simplified, concise or normalized.
function valueOf(entity: Json | undefined, name: string): Json | undefined {
    const attribute = member(entity, name);
    const one = Array.isArray(attribute) ? attribute[0] : attribute;
    return member(one, 'value') ?? one;
}

function plain(value: Json | undefined): string {
    return typeof value === 'string' ? value : '';
}

function pointIn(entity: Json | undefined): [number, number] | undefined {
    const location = valueOf(entity, 'location');
    const at = member(location, 'coordinates');
    if (member(location, 'type') !== 'Point' || !Array.isArray(at)) return undefined;
    const [lon, lat] = at;
    return typeof lon === 'number' && typeof lat === 'number' ? [lon, lat] : undefined;
}

function short(name: string): string {
    return name.split(/[/#]/).pop() ?? name;
}

function read(data: string): Change {
    const event = JSON.parse(data) as Json;
    const entity = member(event, 'entity');
    const types = member(event, 'type') ?? member(entity, 'type');
    const changed = member(event, 'changed');
    const op = plain(member(event, 'op'));
    return {
        op: op.startsWith('create') ? 'created' : op.startsWith('delete') ? 'deleted' : 'updated',
        id: plain(member(event, 'id')),
        type: short(plain(Array.isArray(types) ? types[0] : types)),
        name: plain(valueOf(entity, 'name')),
        status: plain(valueOf(entity, 'status')),
        changed: Array.isArray(changed) ? changed.map((item) => short(plain(item) || plain(member(item, 'attr')))) : [],
        point: pointIn(entity),
    };
}

export function followChanges(onChange: (change: Change) => void, onState: (connected: boolean) => void): void {
    const stream = new EventSource('/link/v1/stream');
    const take = (event: MessageEvent<string>): void => onChange(read(event.data));
    stream.addEventListener('entity', take);
    stream.addEventListener('message', take);
    stream.addEventListener('open', () => onState(true));
    stream.addEventListener('error', () => onState(false));
    addEventListener('pagehide', () => stream.close());
}
