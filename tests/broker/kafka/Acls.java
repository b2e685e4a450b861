import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** Creates ACLs, all by one process: a line of stdin has `Allow` or `Deny`, user, operation, resource, pattern and name. */
class Acls {
    public static void main(String[] arguments) throws Exception {
        List<AclBinding> acls = new BufferedReader(new InputStreamReader(System.in)).lines().map(Acls::acl).collect(Collectors.toList());
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", arguments[0]))) {
            admin.createAcls(acls).all().get();
        }
    }

    private static AclBinding acl(String line) {
        String[] parts = line.split(" ");
        AclPermissionType permission = AclPermissionType.valueOf(constant(parts[0]));
        AclOperation operation = AclOperation.valueOf(constant(parts[2]));
        ResourceType resource = ResourceType.valueOf(constant(parts[3]));
        PatternType pattern = PatternType.valueOf(constant(parts[4]));
        return new AclBinding(
                new ResourcePattern(resource, parts[5], pattern), new AccessControlEntry("User:" + parts[1], "*", operation, permission));
    }

    /** `DescribeConfigs` is `DESCRIBE_CONFIGS`. */
    private static String constant(String name) {
        return name.replaceAll("([a-z])([A-Z])", "$1_$2").toUpperCase();
    }
}
