// The public exports, and nothing else.

export { ClientContext } from './client-context.js';
export { IocpError, type IocpErrorDetails } from './errors.js';
export type {
  AcceptFileOptions,
  FileCheck,
  FileOffer,
  FileProtocol,
  FileResult,
  FileTransferInfo,
  FileTransferOptions,
  OnFileExists,
  PrepareSendFileOptions,
  SendFileOptions,
} from './file-types.js';
export { Iocp } from './iocp.js';
export type {
  Job,
  JobEngine,
  ProcessConnection,
  ProcessDisconnect,
  ProcessDrain,
  ProcessJob,
  ProcessPackage,
  TransferableObject,
} from './job.js';
export type {
  AddJobOptions,
  Addresses,
  AddressFamily,
  ClientHandle,
  CloseOptions,
  CloseReport,
  ConnectOptions,
  DelimiterFraming,
  DisconnectedBy,
  DisconnectOptions,
  DisconnectReason,
  FixedFraming,
  Framing,
  IocpEvents,
  IocpOptions,
  IocpStats,
  JobOverflowPolicy,
  JobStats,
  KeepAliveOptions,
  LengthFraming,
  ListenOptions,
  OverflowPolicy,
  PoolStats,
  PortStats,
  RefusedPeer,
  SendCallback,
  SendToAllOptions,
  TcpInfo,
  VarintFraming,
} from './types.js';
