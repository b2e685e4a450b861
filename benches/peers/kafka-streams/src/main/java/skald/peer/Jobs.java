package skald.peer;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Map;
import java.util.UUID;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The jobs of `benches/jobs`, as somebody would write them who knows Kafka Streams: bytes in, bytes out, JSON by Jackson's tree, one
 * store. Messages have the same envelope as the engine's: an id that follows from the record's place, type, version, source, time,
 * data, and the ids of conversation and cause.
 */
final class Jobs {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String STORE = "totals";
    private static final Serde<String> TEXT = Serdes.String();
    private static final Serde<byte[]> BYTES = Serdes.ByteArray();

    private Jobs() {}

    static Topology of(String job, String application, String input, String output, boolean inMemory) {
        StreamsBuilder builder = new StreamsBuilder();
        if (job.equals("aggregate")) {
            KeyValueBytesStoreSupplier supplier =
                inMemory ? Stores.inMemoryKeyValueStore(STORE) : Stores.persistentKeyValueStore(STORE);
            // With its cache a key that is written many times between two commits goes to disk and to the changelog once.
            builder.addStateStore(Stores.keyValueStoreBuilder(supplier, TEXT, BYTES)
                .withCachingEnabled()
                .withLoggingEnabled(Map.of()));
        }
        var records = builder.stream(input, Consumed.with(TEXT, BYTES));
        var done = switch (job) {
            case "passthrough" -> records;
            case "map" -> records.process(() -> new Price(application));
            case "aggregate" -> records.process(() -> new Total(application), STORE);
            default -> throw new IllegalArgumentException("no such job: " + job);
        };
        done.to(output, Produced.with(TEXT, BYTES));
        return builder.build();
    }

    /** Reads a message, writes another one. */
    private abstract static class Step extends ContextualProcessor<String, byte[], String, byte[]> {
        private final String source;

        Step(String source) {
            this.source = source;
        }

        @Override
        public final void process(Record<String, byte[]> record) {
            try {
                JsonNode message = JSON.readTree(record.value());
                if (message.path("type").asText().equals("order.placed.v1")) {
                    handle(record, message);
                }
            } catch (java.io.IOException error) {
                throw new IllegalStateException("a record that is no JSON", error);
            }
        }

        abstract void handle(Record<String, byte[]> record, JsonNode message) throws java.io.IOException;

        void send(Record<String, byte[]> record, JsonNode cause, String type, ObjectNode data) throws java.io.IOException {
            var place = context().recordMetadata().orElseThrow();
            String seed = source + '/' + place.topic() + '/' + place.partition() + '/' + place.offset();
            ObjectNode message = JSON.createObjectNode();
            message.put("id", UUID.nameUUIDFromBytes(seed.getBytes(StandardCharsets.UTF_8)).toString());
            message.put("type", type);
            message.put("version", "1");
            message.put("source", source);
            message.put("timestamp", Instant.ofEpochMilli(record.timestamp()).toString());
            message.set("data", data);
            ObjectNode metadata = message.putObject("metadata");
            metadata.put("correlationId", cause.path("metadata").path("correlationId").asText());
            metadata.put("causationId", cause.path("id").asText());
            context().forward(record.withValue(JSON.writeValueAsBytes(message)));
        }
    }

    /** Small orders are left out, the others become another message. */
    private static final class Price extends Step {
        Price(String source) {
            super(source);
        }

        @Override
        void handle(Record<String, byte[]> record, JsonNode message) throws java.io.IOException {
            JsonNode order = message.path("data");
            long amount = order.path("amount").asLong();
            if (amount < 1000) {
                return;
            }
            ObjectNode data = JSON.createObjectNode();
            data.put("orderId", order.path("orderId").asText());
            data.put("customerId", order.path("customerId").asText());
            data.put("gross", amount * 119 / 100);
            data.put("currency", order.path("currency").asText());
            send(record, message, "order.priced.v1", data);
        }
    }

    /** Orders become totals of their customer. */
    private static final class Total extends Step {
        private KeyValueStore<String, byte[]> totals;

        Total(String source) {
            super(source);
        }

        @Override
        public void init(
            org.apache.kafka.streams.processor.api.ProcessorContext<String, byte[]> context) {
            super.init(context);
            totals = context.getStateStore(STORE);
        }

        @Override
        void handle(Record<String, byte[]> record, JsonNode message) throws java.io.IOException {
            JsonNode order = message.path("data");
            byte[] known = totals.get(record.key());
            JsonNode before = known == null ? JSON.createObjectNode() : JSON.readTree(known);
            ObjectNode total = JSON.createObjectNode();
            total.put("orders", before.path("orders").asLong() + 1);
            total.put("amount", before.path("amount").asLong() + order.path("amount").asLong());
            total.put("lastOrderId", order.path("orderId").asText());
            totals.put(record.key(), JSON.writeValueAsBytes(total));
            ObjectNode data = JSON.createObjectNode();
            data.put("customerId", record.key());
            data.setAll(total);
            send(record, message, "customer.total.v1", data);
        }
    }
}
