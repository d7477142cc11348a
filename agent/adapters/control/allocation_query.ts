import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import type { Grant } from '../../core/resources/allocation.ts';
import {
  type BottleneckSchema,
  type OptimizeResourceAllocationRequest,
  type OptimizeResourceAllocationResponse,
  OptimizeResourceAllocationResponseSchema,
  type ResourceGrantSchema,
} from '../../gen/performance_optimizer/control/v1/resources_pb.ts';
import { encodeTimeMs } from '../../rpc/knob_codec.ts';
import { quote } from './hello.ts';
import type { ResourceReader } from './ports.ts';
import { name, Refused } from './unary.ts';

/** Who should get how much, and what is short. */
export function queryAllocation(
  resources: ResourceReader,
  request: OptimizeResourceAllocationRequest,
): OptimizeResourceAllocationResponse {
  const component = request.component === '' ? '' : name('component', request.component);
  const { usage, allocation, bottlenecks, applied } = resources.report();
  const known = usage.components.map((one) => one.component);
  if (component !== '' && !known.includes(component)) {
    throw new Refused(
      status.NOT_FOUND,
      `there is no component ${quote(component)}; known: ${known.slice(0, 20).join(', ') || 'none yet'}`,
    );
  }
  const isShown = (one: { readonly component: string }): boolean => component === '' || one.component === component;
  return create(OptimizeResourceAllocationResponseSchema, {
    time: encodeTimeMs(usage.atMs),
    pools: allocation.pools.map((pool) => ({ ...pool })),
    grants: allocation.grants.filter(isShown).map(encodeGrant),
    bottlenecks: bottlenecks.filter(isShown).map(
      ({ signals, ...same }): MessageInitShape<typeof BottleneckSchema> => ({
        ...same,
        signals: { ...signals },
      }),
    ),
    applied: applied.filter(isShown).map(({ atMs, ...same }) => ({ ...same, time: encodeTimeMs(atMs) })),
  });
}

function encodeGrant(grant: Grant): MessageInitShape<typeof ResourceGrantSchema> {
  return { ...grant };
}
