"""The handlers over gRPC. It needs the extra ``[grpc]``; nobody else imports it."""
