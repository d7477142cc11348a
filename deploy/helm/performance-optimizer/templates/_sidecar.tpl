{{/* The agent as one of a pod's initContainers; for charts that have a Deployment of their own too. */}}
{{- define "performance-optimizer.sidecar" -}}
- name: performance-optimizer
  image: {{ .Values.agent.image | quote }}
  imagePullPolicy: {{ .Values.agent.imagePullPolicy }}
  restartPolicy: Always
  args: [run, --config, /etc/performance-optimizer/agent.yaml]
  env:
    - name: PERFOPT_WEB_KEY
      valueFrom:
        secretKeyRef: { name: {{ .Release.Name }}-performance-optimizer, key: web-key }
  ports:
    - { name: perfopt-web, containerPort: 4320 }
  startupProbe:
    httpGet: { path: /readyz, port: perfopt-web }
    periodSeconds: 1
    failureThreshold: 60
  readinessProbe:
    httpGet: { path: /readyz, port: perfopt-web }
  livenessProbe:
    httpGet: { path: /healthz, port: perfopt-web }
    periodSeconds: 10
    timeoutSeconds: 5
  resources:
    {{- toYaml .Values.agent.resources | nindent 4 }}
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: { drop: [ALL] }
  volumeMounts:
    - { name: performance-optimizer-config, mountPath: /etc/performance-optimizer, readOnly: true }
    - { name: performance-optimizer-state, mountPath: /var/lib/performance-optimizer }
    - { name: performance-optimizer-tmp, mountPath: /tmp }
{{- end }}

{{/* What the agent mounts. */}}
{{- define "performance-optimizer.volumes" -}}
- name: performance-optimizer-config
  configMap: { name: {{ .Release.Name }}-performance-optimizer }
- name: performance-optimizer-state
  {{- if .Values.agent.existingClaim }}
  persistentVolumeClaim: { claimName: {{ .Values.agent.existingClaim }} }
  {{- else }}
  emptyDir: { sizeLimit: {{ .Values.agent.stateSize }} }
  {{- end }}
- name: performance-optimizer-tmp
  emptyDir: { sizeLimit: 16Mi }
{{- end }}

{{/* What the AI process has to know. */}}
{{- define "performance-optimizer.env" -}}
- { name: OTEL_EXPORTER_OTLP_ENDPOINT, value: "http://127.0.0.1:4317" }
- { name: OTEL_EXPORTER_OTLP_PROTOCOL, value: grpc }
- { name: OTEL_METRIC_EXPORT_INTERVAL, value: "5000" }
- { name: OTEL_SERVICE_NAME, value: {{ .Values.ai.serviceName | quote }} }
- { name: PERFOPT_CONTROL_ADDRESS, value: "127.0.0.1:4319" }
{{- end }}

{{/* What an agent in a pod needs, and over it what the values say. */}}
{{- define "performance-optimizer.config" -}}
{{- $own := fromYaml (.Files.Get "files/agent.yaml") -}}
{{- toYaml (mergeOverwrite $own (deepCopy .Values.agent.config)) -}}
{{- end }}
