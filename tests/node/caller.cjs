// Prints the ARN of whoever the SDK's credential provider named in the first argument finds.

const { GetCallerIdentityCommand, STSClient } = require("@aws-sdk/client-sts");
const { fromHttp, fromInstanceMetadata, fromProcess, fromTokenFile } = require("@aws-sdk/credential-providers");

const providers = { fromHttp, fromInstanceMetadata, fromProcess, fromTokenFile };

async function main() {
  const credentials = providers[process.argv[2]]();
  const client = new STSClient({ credentials });
  console.log((await client.send(new GetCallerIdentityCommand({}))).Arn);
}

main().catch((error) => {
  console.error(`${error.name}: ${error.message}`);
  process.exit(1);
});
