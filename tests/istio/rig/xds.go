package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	xdstypes "istio.io/istio/pilot/pkg/xds/v3"

	// Every type of Envoy's, so that what is packed into an Any can be printed.
	_ "istio.io/istio/pkg/config/xds"
)

// answerTime is how long a control plane may take for one answer.
const answerTime = 20 * time.Second

var resourceTypes = map[string]string{
	"clusters":   xdstypes.ClusterType,
	"endpoints":  xdstypes.EndpointType,
	"extensions": xdstypes.ExtensionConfigurationType,
	"listeners":  xdstypes.ListenerType,
	"routes":     xdstypes.RouteType,
}

// xdsOf prints, as a JSON array, the resources of one type that a control plane gives to a node:
// for a proxy that no Envoy at hand can be, such as a waypoint.
func xdsOf(arguments []string, out io.Writer) error {
	flags := flag.NewFlagSet("xds", flag.ExitOnError)
	server := flags.String("server", "127.0.0.1:15010", "the address of ADS")
	id := flags.String("node", "", "TYPE~IP~POD.NAMESPACE~NAMESPACE.svc.cluster.local")
	metadata := flags.String("metadata", "{}", "the node's metadata")
	_ = flags.Parse(arguments)
	resourceType := resourceTypes[flags.Arg(0)]
	if resourceType == "" {
		return fmt.Errorf("xds: expected one of clusters, endpoints, extensions, listeners, routes, found %q", flags.Arg(0))
	}
	if strings.Count(*id, "~") != 3 {
		return fmt.Errorf("xds: -node: expected four parts between ~, found %q", *id)
	}
	node := &core.Node{Id: *id, Metadata: &structpb.Struct{}}
	if err := protojson.Unmarshal([]byte(*metadata), node.Metadata); err != nil {
		return fmt.Errorf("xds: -metadata: %w", err)
	}
	response, err := fetch(*server, &discovery.DiscoveryRequest{
		Node:          node,
		TypeUrl:       resourceType,
		ResourceNames: flags.Args()[1:],
	})
	if err != nil {
		return fmt.Errorf("xds: %s: %w", *server, err)
	}
	resources := []json.RawMessage{}
	for _, resource := range response.Resources {
		text, err := protojson.Marshal(resource)
		if err != nil {
			return err
		}
		resources = append(resources, text)
	}
	return json.NewEncoder(out).Encode(resources)
}

// fetch asks once and takes the first answer.
func fetch(server string, request *discovery.DiscoveryRequest) (*discovery.DiscoveryResponse, error) {
	connection, err := grpc.NewClient(server, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(connection).StreamAggregatedResources(ctx)
	if err != nil {
		return nil, err
	}
	if err := stream.Send(request); err != nil {
		return nil, err
	}
	return stream.Recv()
}
