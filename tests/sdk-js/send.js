// Sends spans with one of the OTLP exporters of the OpenTelemetry JavaScript SDK, and fails if one
// of them is not accepted: node send.js grpc|http|proto URL COUNT

import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import { OTLPTraceExporter as GrpcExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const exporters = {
  grpc: (url) => new GrpcExporter({ url }),
  http: (url) => new JsonExporter({ url: `${url}/v1/traces` }),
  proto: (url) => new ProtobufExporter({ url: `${url}/v1/traces` }),
};

const [protocol, url, count] = process.argv.slice(2);
const exporter = exporters[protocol](url);

// The SDK only logs a failed export; the test has to know.
const original = exporter.export.bind(exporter);
exporter.export = (spans, callback) =>
  original(spans, (result) => {
    if (result.code !== 0) {
      console.error(`export failed: ${result.error}`);
      process.exitCode = 1;
    }
    callback(result);
  });

const provider = new BasicTracerProvider({
  resource: resourceFromAttributes({ "service.name": "javascript-client" }),
  spanProcessors: [new BatchSpanProcessor(exporter)],
});
const tracer = provider.getTracer("clients", "1.2");
for (let index = 0; index < Number(count); index += 1) {
  const span = tracer.startSpan("work", {
    kind: SpanKind.CLIENT,
    attributes: {
      index,
      text: "żółw ✓",
      ratio: 0.25,
      big: 2 ** 40 + 1,
      flag: true,
      list: ["a", "b"],
    },
  });
  span.setStatus({ code: SpanStatusCode.ERROR, message: "broken" });
  span.end();
}
await provider.shutdown();
