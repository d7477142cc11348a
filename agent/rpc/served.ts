import type { DescService } from '@bufbuild/protobuf';
import type { UntypedServiceImplementation } from '@grpc/grpc-js';

/** Which components a call may read. Known to whoever lets calls in. */
export type Reads = (call: object) => (component: string) => boolean;

/** A service that something beside the control channel answers for, on the control channel's addresses. It only reads. */
export interface Served {
  readonly service: DescService;
  handlers(reads: Reads): UntypedServiceImplementation;
}
