// binding.d.ts against the built addon: a declaration that is not kept, or an export nobody declared, fails here.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL('../../', import.meta.url));
const { addon } = require('../../dist/binding.js') as typeof import('../../lib/binding.js');
const records = require('../../dist/records.js') as typeof import('../../lib/records.js');
const slabs = require('../../dist/slabs.js') as typeof import('../../lib/slabs.js');

const source = ts.createSourceFile(
  'binding.d.ts',
  readFileSync(`${root}binding.d.ts`, 'utf8'),
  ts.ScriptTarget.Latest,
  true,
);

/** Names of exported values; types leave nothing behind at run time. */
function declaredValues(): string[] {
  return source.statements.flatMap((statement) => {
    if (ts.isVariableStatement(statement)) {
      return statement.declarationList.declarations.map((one) => one.name.getText());
    }
    return ts.isClassDeclaration(statement) ? [statement.name!.text] : [];
  });
}

const classes = source.statements.filter(ts.isClassDeclaration);

function names(of: string, test: (member: ts.ClassElement) => boolean): string[] {
  const { members } = classes.find((one) => one.name!.text === of)!;
  return members
    .filter(test)
    .map((member) => member.name!.getText())
    .sort();
}

describe('the addon', () => {
  it('exports what binding.d.ts declares, and nothing else', () => {
    expect(Object.keys(addon).sort()).toEqual(declaredValues().sort());
  });

  it.each(classes.map((one) => one.name!.text))(
    'gives %s what is declared, and no more',
    (name) => {
      const { prototype } = addon[name as 'Engine' | 'JobQueue' | 'JobWorker'];
      const descriptors = Object.entries(Object.getOwnPropertyDescriptors(prototype));
      const own = descriptors.filter(([member]) => member !== 'constructor');
      const methods = own.filter(([, it]) => typeof it.value === 'function').map(([one]) => one);
      expect(methods.sort()).toEqual(names(name, ts.isMethodDeclaration));
      const getters = own.filter(([, it]) => it.get !== undefined).map(([one]) => one);
      expect(getters.sort()).toEqual(names(name, ts.isPropertyDeclaration));
    },
  );

  it('agrees with the constants of the TypeScript layer', () => {
    const { layout } = addon;
    expect(layout.recordHeaderBytes).toBe(records.RECORD_HEADER_BYTES);
    expect(layout.recordAlignment).toBe(records.RECORD_ALIGNMENT);
    expect(layout.rangeWords).toBe(records.RANGE_WORDS);
    expect(layout.outputHeaderBytes).toBe(records.OUTPUT_HEADER_BYTES);
    expect(layout.connectionsMax).toBe(records.CONNECTIONS_MAX);
    expect(layout.records).toEqual(records.Kind);
    expect(layout.outputFlags).toEqual(records.OutputFlag);
  });

  it('takes slabs of the size and number that are lent', () => {
    expect(slabs.SLAB_BYTES).toBeGreaterThanOrEqual(addon.layout.slabBytesMin);
    expect(slabs.SLAB_BYTES).toBeGreaterThan(addon.layout.inlinePayloadMax);
    const most = Math.max(slabs.SLABS_PER_LANE_STEPPED, 256 * slabs.SLABS_PER_LANE_THREADED);
    expect(most - 1).toBeLessThanOrEqual(addon.layout.slabIndexMax);
  });

  it('has tables that errors can be built from', () => {
    expect(addon.statuses[0]![1]).toBe('success');
    expect(addon.syscalls[0]).toBe('');
    expect(new Set(addon.statuses.map(([code]) => code)).size).toBe(addon.statuses.length);
    for (const code of ['ECONNREFUSED', 'EADDRINUSE', 'ERR_IOCP_GONE', 'ERR_IOCP_CLOSED']) {
      expect(addon.statuses.map((row) => row[0])).toContain(code);
    }
    expect(new Set(addon.statNames).size).toBe(addon.statNames.length);
    expect(['epoll', 'iocp', 'kqueue']).toContain(addon.portName);
  });
});

/** The names in an interface, nested ones with a dot, as `statNames` spells them. */
function declaredFigures(file: ts.SourceFile, members: ts.NodeArray<ts.TypeElement>): string[] {
  return members.filter(ts.isPropertySignature).flatMap((member) => {
    const name = member.name.getText();
    const type = member.type!;
    if (type.kind === ts.SyntaxKind.NumberKeyword) return [name];
    const nested = ts.isTypeLiteralNode(type)
      ? type.members
      : file.statements.filter(ts.isInterfaceDeclaration).find((one) => {
          return one.name.text === type.getText();
        })!.members;
    return declaredFigures(file, nested).map((inner) => `${name}.${inner}`);
  });
}

describe('the published types', () => {
  it('declare every figure of the engine, and no other', () => {
    const text = readFileSync(`${root}lib/types.ts`, 'utf8');
    const file = ts.createSourceFile('types.ts', text, ts.ScriptTarget.Latest, true);
    const stats = file.statements
      .filter(ts.isInterfaceDeclaration)
      .find((one) => one.name.text === 'IocpStats')!;
    const native = declaredFigures(file, stats.members).filter((name) => {
      return !/^(javascript|jobs)\./.test(name);
    });
    expect(native.sort()).toEqual([...addon.statNames].sort());
  });

  it('do not lead to the raw addon', () => {
    const program = ts.createProgram([`${root}dist/index.d.ts`, `${root}dist/index.d.mts`], {
      module: ts.ModuleKind.Node16,
      moduleResolution: ts.ModuleResolutionKind.Node16,
      types: ['node'],
      strict: true,
    });
    const files = program.getSourceFiles().map((file) => file.fileName);
    expect(files.filter((file) => /(^|\/)(binding|engine-host|sender)\.d\.ts$/.test(file))).toEqual(
      [],
    );
  });
});
