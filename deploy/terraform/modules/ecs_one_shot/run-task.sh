#!/bin/sh
# Runs TASK_DEFINITION once on CLUSTER and ends as the task did. Called by Terraform.
set -eu

task=$(aws ecs run-task --cluster "$CLUSTER" --task-definition "$TASK_DEFINITION" --launch-type FARGATE \
    --network-configuration "$NETWORK" --started-by terraform --query 'tasks[0].taskArn' --output text)
if [ "$task" = None ]; then
    echo "ECS did not start $TASK_DEFINITION: see the events of the cluster" >&2
    exit 1
fi
aws ecs wait tasks-stopped --cluster "$CLUSTER" --tasks "$task"
code=$(aws ecs describe-tasks --cluster "$CLUSTER" --tasks "$task" \
    --query 'tasks[0].containers[0].exitCode' --output text)
if [ "$code" != 0 ]; then
    echo "the key task ended with $code: see its log" >&2
    exit 1
fi
